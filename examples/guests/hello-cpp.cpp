// SPDX-License-Identifier: MIT
/*
 * A guest in C++: answers GET requests, takes bodies by POST, and says what
 * happened when a request fails.
 */
#include "kvm_api.hpp"

#include <cstdio>
#include <string>
#include <string_view>

namespace
{

kvm::response hello(const kvm::request &request)
{
	return kvm::response(200, "text/plain")
	        .header("X-Method", request.method())
	        .content(kvm::format("Hello from {}\nargument: \"{}\"\nagent: {}\n", request.url(),
	                             request.argument(),
	                             request.header("User-Agent").value_or("unknown")));
}

kvm::response count_words(const kvm::request &request)
{
	std::size_t words = 0;
	bool in_word = false;

	for (const char character : request.body()) {
		const bool is_space = character == ' ' || character == '\n' || character == '\t';

		words += !is_space && !in_word;
		in_word = !is_space;
	}
	return kvm::response(200, "text/plain").content(kvm::format("{} words\n", words));
}

} // namespace

int main()
{
	const std::string page = "Something went wrong: ";

	std::puts("hello-cpp is ready");
	kvm::on_get(hello);
	kvm::on_post(count_words);
	kvm::on_error([page](const kvm::request &, std::string_view exception) {
		return kvm::response(500, "text/plain").content(kvm::format("{}{}\n", page, exception));
	});
	kvm::wait_for_requests();
}
