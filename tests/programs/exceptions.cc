// SPDX-License-Identifier: MIT
// C++: streams, exceptions through frames with destructors, containers, thread-local data.
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

thread_local int depth = 0;

struct Frame {
	Frame() { depth++; }
	~Frame() { std::cout << "left " << depth-- << '\n'; }
};

int descend(int n)
{
	Frame frame;
	if (n == 0)
		throw std::out_of_range("deep enough");
	return descend(n - 1) + 1;
}

} // namespace

int main(int argc, char **argv)
{
	std::map<std::string, std::vector<long>> words;
	std::ifstream file(argc > 1 ? argv[1] : "");
	std::string line, word;
	long number;

	while (std::getline(file, line)) {
		std::istringstream fields(line);
		fields >> number >> word;
		words[word].push_back(number);
	}
	for (const auto &[name, numbers] : words)
		std::cout << std::setw(8) << name << std::hex << std::showbase << ' ' << numbers.size()
			  << std::dec << ' ' << *std::max_element(numbers.begin(), numbers.end()) << '\n';
	try {
		descend(3);
	} catch (const std::exception &error) {
		std::cout << "caught " << error.what() << " at " << depth << '\n';
	}
	try {
		try {
			std::stoi("no number");
		} catch (...) {
			std::throw_with_nested(std::runtime_error("outer"));
		}
	} catch (const std::exception &error) {
		std::cout << error.what() << '\n';
	}
	std::cout << std::regex_replace("2024-02-29", std::regex("(\\d+)-(\\d+)-(\\d+)"), "$3.$2.$1")
		  << ' ' << std::setprecision(17) << 0.1 << ' ' << std::scientific << 12345.678 << '\n';
	auto shared = std::make_shared<std::string>(200000, 'x');
	std::cout << shared->size() << ' ' << shared.use_count() << std::endl;
	std::cerr << "to standard error\n";
	while (std::cin >> word)
		depth++;
	return depth % 100;
}
