// SPDX-License-Identifier: MIT
/*
 * Uses guest/kvm_api.hpp; the URL says what of it.
 *
 * usage: objects [request|loop|serve|stream]     how requests are taken; by default by method
 */
#include "kvm_api.hpp"

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <malloc.h>

namespace
{

const char embedded[] = "embedded";

std::string text_of(const std::optional<std::string> &text)
{
	return text ? "\"" + *text + "\"" : "nothing";
}

kvm::response answer_fields(const kvm::request &request)
{
	const std::string large(1000, 'x');
	std::string text;

	text += text_of(request.header("x-one")) + text_of(request.header("X-None"));
	text += kvm::format(" {}", kvm::response_fields.append("X-Two", "2"));
	text += kvm::format(" {}", kvm::response_fields.append("X-Two", "3"));
	text += kvm::format(" {}", kvm::response_fields.set("X-Large", large));
	text += kvm::format(" {}", kvm::response_fields.unset("x-two"));
	text += kvm::format(" {} ", kvm::response_fields.unset("X-None"));
	text += text_of(kvm::response_fields.get("X-Two"));
	text += kvm::format(" {}", kvm::response_fields.get("X-LARGE") == large);
	text += kvm::format(" {}", kvm::response_fields.unset("X-Large"));
	return kvm::response(200).content(text);
}

kvm::response answer_extra(const kvm::request &)
{
	const std::vector<std::uint8_t> bytes = {'b', 'y', 't', 'e', 's'};

	return kvm::response(201)
	        .type("text/extra")
	        .header("X-One", "1")
	        .header("X-One", "2")
	        .add_header("X-Two", "1")
	        .add_header("X-Two", "2")
	        .cache(kvm::seconds(1.5f), std::chrono::seconds(2))
	        .content(bytes);
}

kvm::response answer_stream(const kvm::request &)
{
	std::vector<std::string> pieces = {"first, ", "second, ", "third"};

	return kvm::response(200, "text/stream")
	        .header("X-One", "1")
	        .stream(20, [pieces, next = std::size_t{0}](std::size_t, std::size_t) mutable {
			return std::string_view(pieces[next++]);
		});
}

kvm::response answer_expressions(const kvm::request &)
{
	const kvm::regex digits("([0-9]+)");
	const kvm::regex again("([0-9]+)");
	std::string text;

	if (!digits)
		return kvm::response(200).content("no regular expressions");
	{
		kvm::regex third("([0-9]+)");
	}
	text = kvm::format("{} {} ", digits.matches("a1"), again.matches("a"));
	text += text_of(digits.replace("1 and 22", "<\\1>"));
	text += text_of(digits.replace_all("1 and 22", "<\\1>"));
	text += text_of(digits.replace("none", "<\\1>"));
	const std::optional<std::string> large = digits.replace_all(
		std::string(400, '1') + " " + std::string(400, '2'), "\\1\\1\\1\\1\\1\\1\\1\\1\\1");
	text += kvm::format(" {}", large ? large->size() : 0);
	return kvm::response(200).content(text);
}

kvm::response answer_fetch()
{
	kvm::fetch_options options;

	options.fields = {"X-One: 1", "X-Two: 2"};
	options.body = "posted";
	options.content_type = "text/posted";
	options.want_headers = true;
	const kvm::fetch_result with = kvm::fetch("http://there/", options);
	const kvm::fetch_result without = kvm::fetch("http://there/");
	const kvm::fetch_result failed = kvm::fetch("http://nowhere/");

	return kvm::response(with.status(), with.content_type(), std::string(with.content()))
	        .header("X-Head",
	                kvm::format("{} {}", with.headers().size(), without.headers().size()))
	        .header("X-Failed", kvm::format("{} {}", bool(failed), failed.error()))
	        .header("X-Without", kvm::format("{} {}", bool(without), without.content()));
}

kvm::response answer_request(const kvm::request &request)
{
	std::string text = kvm::format("{} {} {} {} {} {}", request.method(), request.url(),
	                               request.argument(), request.content_type(), request.body(),
	                               request.body_length());

	for (const kvm::field field : request.fields())
		text += kvm::format(" [{}={}]", field.name, field.value);
	return kvm::response(200, "text/plain", text);
}

std::string streamed;

kvm::response answer(const kvm::request &request)
{
	const std::string_view url = request.url();

	if (url == "/fields")
		return answer_fields(request);
	if (url == "/extra")
		return answer_extra(request);
	if (url == "/stream")
		return answer_stream(request);
	if (url == "/expressions")
		return answer_expressions(request);
	if (url == "/borrow")
		return kvm::response(200).borrow(embedded);
	if (url == "/literal")
		return kvm::response(200).content("literal");
	if (url == "/no-cache")
		return kvm::response(404).do_not_cache();
	if (url == "/memory")
		return kvm::response(200).content(kvm::format("{} bytes", mallinfo2().uordblks));
	if (url == "/streamed")
		return kvm::response(200).content(
			kvm::format("{} {}", streamed, request.body_length()));
	if (url == "/fetch")
		return answer_fetch();
	if (url == "/log")
		kvm::log("{} is {}", "url", url);
	if (url == "/fault")
		std::abort();
	return answer_request(request);
}

void serve_in_loop()
{
	for (const kvm::request &request : kvm::requests())
		kvm::respond(answer(request));
}

} // namespace

int main(int argc, char **argv)
{
	const std::string_view way = argc > 1 ? argv[1] : "";
	const std::string captured = "captured by on_error, long enough to be on the heap";

	if (way == "loop")
		serve_in_loop();
	if (way == "serve")
		kvm::serve(answer);
	if (way == "request")
		kvm::on_request(answer);
	if (way == "stream")
		kvm::on_stream_post(
			[](const kvm::request &, std::string_view piece, std::size_t offset) {
				streamed += kvm::format("{}:{} ", offset, piece);
				return piece != "no";
			});
	kvm::on_get(answer);
	kvm::on_post(answer);
	kvm::on_error([captured](const kvm::request &request, std::string_view exception) {
		return kvm::response(500).content(
			kvm::format("{} {}: {}", captured, request.url(), exception));
	});
	kvm::wait_for_requests();
}
