/* SPDX-License-Identifier: MIT */
/*
 * Uses everything that guest/kvm_api.hpp has, outside of a sandbox, where
 * each call must do no harm. With -DPART it is a second file of the same
 * program.
 *
 * usage: kvm_api_hpp_use              exit status 0 when all is as documented
 *        kvm_api_hpp_use CALL         makes a call that cannot return: 38
 */
#include "kvm_api.hpp"

std::string format_in_part();

#ifdef PART

std::string format_in_part()
{
	kvm::on_get([](const kvm::request &) { return kvm::response(); });
	return kvm::format("{}", 1);
}

#else

static int failures;

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("line %d: not so: %s\n", __LINE__, #condition);                     \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static void use_handlers()
{
	const std::string text = "captured";
	int count = 0;

	EXPECT(!kvm::in_sandbox() && !kvm::in_storage());
	kvm::on_get([](const kvm::request &) { return kvm::response(200, "text/plain", "text"); });
	kvm::on_post([text](const kvm::request &request) {
		return kvm::response(200).content(text + std::string(request.body()));
	});
	kvm::on_request([count](const kvm::request &) mutable {
		return kvm::response(200).content(kvm::format("{}", ++count));
	});
	kvm::on_stream_post([](const kvm::request &, std::string_view piece, std::size_t offset) {
		return piece.size() + offset > 0;
	});
	kvm::on_error([](const kvm::request &, std::string_view exception) {
		return kvm::response(500).content(exception);
	});
	kvm::wait_for_requests();
}

static void use_requests()
{
	const kvm_request_header headers[] = {{"Host: there", 4, 11}, {"Empty:", 5, 6}};
	kvm_request raw{};

	raw.method = "PUT";
	raw.url = "/url";
	raw.arg = "argument";
	raw.content_type = "text/a";
	raw.content = reinterpret_cast<const std::uint8_t *>("content");
	raw.content_len = 7;
	raw.headers = headers;
	raw.num_headers = 2;
	raw.info_flags = 1;
	const kvm::request request(raw);

	EXPECT(request.method() == "PUT" && request.url() == "/url");
	EXPECT(request.argument() == "argument" && request.content_type() == "text/a");
	EXPECT(request.body() == "content" && request.body_length() == 7);
	EXPECT(request.header("hOST") == "there" && request.header("empty") == "");
	EXPECT(!request.header("none") && request.is_warm_up() && request.raw() == &raw);
	std::size_t count = 0;
	for (kvm::field field : request.fields())
		count += field.name.size() + field.value.size();
	EXPECT(count == 4 + 5 + 5);

	const kvm::request bare("/url", "argument");
	EXPECT(bare.method() == "" && !bare.header("Host") && bare.body().empty());
	EXPECT(!(bare.fields().begin() != bare.fields().end()));
	EXPECT(kvm::request("/", "", "", nullptr, 7).body_length() == 7);
}

static void use_responses()
{
	const std::vector<std::uint8_t> bytes = {'a', 'b'};
	std::string text(100, 'x');
	const char *const place = text.data();
	kvm::response response;

	response.type("text/a").header("A", "b").add_header("B", "c").cache(std::chrono::minutes(1));
	response.content("text").content(std::string_view("view")).content(bytes);
	EXPECT(response.content() == "ab" && response.status() == 200 && response.type() == "text/a");
	response.content(std::move(text));
	EXPECT(response.content().data() == place);
	const kvm::response copy = response;
	EXPECT(copy.content().size() == 100);
	response.content(std::string("other"));
	EXPECT(copy.content() == std::string(100, 'x'));
	kvm::respond(std::move(response));
	kvm::respond(kvm::response(404)
	                     .type("a")
	                     .header("A", "b")
	                     .add_header("A", "c")
	                     .cache(kvm::seconds(1.5f), kvm::seconds(2))
	                     .content("text"));
	kvm::respond(kvm::response(200).do_not_cache().borrow("static"));
	kvm::respond(kvm::response(200).content(std::string_view("view")));
	kvm::respond(kvm::response(200).content(bytes));
}

static void use_fields()
{
	EXPECT(!kvm::request_fields.get("Host"));
	EXPECT(!kvm::response_fields.set("A", "b"));
	EXPECT(!kvm::response_fields.append("A", "b"));
	EXPECT(!kvm::response_fields.unset("A"));
	EXPECT(kvm::request_fields.where() == REQ && kvm::response_fields.where() == RESP);
	EXPECT(kvm::field::of("Name:\t value").value == "value");
	EXPECT(kvm::field::of("Name").name == "Name" && kvm::field::of("Name").value.empty());
}

static void use_the_rest()
{
	kvm::regex regex("a");
	kvm::regex moved(std::move(regex));

	EXPECT(!moved && !moved.matches("a") && moved.handle() < 0);
	EXPECT(!moved.replace("a", "b") && !moved.replace_all("a", "b"));
	EXPECT(moved.copy_fields(kvm::request_fields, kvm::response_fields) == 0);
	EXPECT(kvm::format("{} {} {} {} {}{}", 1, "b", std::string("c"), true, 2.5, 'c') ==
	       "1 b c true 2.5c");
	EXPECT(kvm::format("{}") == "{}" && kvm::format("a", 1) == "a1" && format_in_part() == "1");
	kvm::log("a line");
	kvm::log("{} of {}", 1, 2u);

	kvm::fetch_options options;
	EXPECT(!kvm::fetch("http://[::1]/") && kvm::fetch("/").error() == -ENOSYS);
	options.fields.assign(13, "A: b");
	EXPECT(kvm::fetch("/", options).error() == -EINVAL);
	const kvm::fetch_result failed(-7);
	EXPECT(failed.status() == 0 && failed.content_type().empty() && failed.content().empty() &&
	       failed.headers().empty());
	EXPECT(!kvm::storage_call([](std::size_t, virtbuffer *, std::size_t) {}, {"a", "b"}, 10));
	EXPECT(!kvm::storage_task([](void *, std::size_t) {}, "data"));
	kvm::storage_return("data");
}

static void call_without_return(std::string_view name)
{
	if (name == "streaming")
		kvm::respond(kvm::response(200).stream(
			10, [](std::size_t, std::size_t) { return std::string_view("a"); }));
	if (name == "paused")
		for (const kvm::request &request : kvm::requests())
			kvm::respond(kvm::response(200).content(request.url()));
	if (name == "storage")
		kvm::serve([](const kvm::request &) { return kvm::response(200); });
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		call_without_return(argv[1]);
		return EXIT_FAILURE;
	}
	use_handlers();
	use_requests();
	use_responses();
	use_fields();
	use_the_rest();
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
