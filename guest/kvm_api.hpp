/* SPDX-License-Identifier: MIT */
/*
 * The guest API for C++17 and later: kvm_api.h with objects that free what they
 * have, string_view and lambdas. Header-only; works without exceptions and
 * without RTTI. All of kvm_api.h can be used beside it.
 *
 *     #include "kvm_api.hpp"
 *
 *     int main()
 *     {
 *             std::string greeting = "Hello from ";
 *
 *             kvm::on_get([greeting](const kvm::request &request) {
 *                     return kvm::response(200, "text/plain")
 *                             .header("X-Served-By", "sandbox")
 *                             .content(greeting + std::string(request.url()));
 *             });
 *             kvm::wait_for_requests();
 *     }
 *
 * Handlers are kept until the program ends, and with them what they have
 * captured: so capture by value what main() would take with it. A request and
 * the texts that it gives live until its response is given.
 *
 * Outside of a sandbox nothing happens, as kvm_api.h says: handlers are never
 * called, std::optional results are empty, fetch() fails.
 */
#ifndef KVM_API_HPP
#define KVM_API_HPP

#include "kvm_api.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/mman.h>

namespace kvm
{

using seconds = std::chrono::duration<float>;

/* ---- Where the program runs ---- */

inline bool in_sandbox()
{
	return IS_SANDBOXED_MAIN();
}

/* In the sandbox that stores. */
inline bool in_storage()
{
	return IS_STORAGE();
}

/* ---- Header fields ---- */

/* "Name: value" in its parts; views of a text that lives elsewhere. */
struct field {
	std::string_view name;
	std::string_view value;

	static field of(std::string_view text)
	{
		const std::size_t colon = std::min(text.find(':'), text.size());
		std::string_view rest = text.substr(std::min(colon + 1, text.size()));

		rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
		return {text.substr(0, colon), rest};
	}
};

namespace detail
{

inline std::string field_text(std::string_view name, std::string_view value)
{
	std::string text;

	text.reserve(name.size() + 2 + value.size());
	text.append(name).append(": ").append(value);
	return text;
}

inline char lower(char character)
{
	return character >= 'A' && character <= 'Z' ? static_cast<char>(character + ('a' - 'A'))
	                                            : character;
}

inline bool same_name(std::string_view one, std::string_view other)
{
	return std::equal(one.begin(), one.end(), other.begin(), other.end(),
	                  [](char a, char b) { return lower(a) == lower(b); });
}

/* What `ask` writes, which answers the length, 0 where there was no room; without one, the length. */
template <class Ask> std::optional<std::string> asked(Ask ask)
{
	std::string text(256, '\0');
	long length = ask(text.data(), text.size());

	if (length == 0) {
		length = ask(nullptr, 0);
		if (length <= 0)
			return std::nullopt;
		text.resize(static_cast<std::size_t>(length));
		length = ask(text.data(), text.size());
	}
	if (length <= 0)
		return std::nullopt;
	text.resize(static_cast<std::size_t>(length));
	return text;
}

} // namespace detail

/*
 * The fields of the request or of the response, as the host has them now. Names
 * are compared without regard to case. A name or a value that HTTP does not
 * allow ends the request.
 */
class header_fields
{
      public:
	explicit constexpr header_fields(int where) : where_(where)
	{
	}

	/* The value of the first field of that name. */
	std::optional<std::string> get(std::string_view name) const
	{
		std::optional<std::string> text = detail::asked([&](char *out, std::size_t size) {
			return sys_http_find(where_, name.data(), name.size(), out, size);
		});

		if (text)
			text->erase(0, text->size() - field::of(*text).value.size());
		return text;
	}

	/* Replaces the first field of that name, or adds one. False: there was no room. */
	bool set(std::string_view name, std::string_view value) const
	{
		const std::string text = detail::field_text(name, value);

		return is_index(sys_http_set(where_, text.data(), text.size()));
	}

	/* Adds a field, whether there is one of that name or not. False: there was no room. */
	bool append(std::string_view name, std::string_view value) const
	{
		const std::string text = detail::field_text(name, value);

		return is_index(sys_http_append(where_, text.data(), text.size()));
	}

	/* Removes the first field of that name. False: there was none. */
	bool unset(std::string_view name) const
	{
		return sys_http_set(where_, name.data(), name.size()) > 0;
	}

	/* REQ or RESP. */
	constexpr int where() const
	{
		return where_;
	}

      private:
	static bool is_index(long answer)
	{
		return answer >= 0 && answer != 0xffffffff;
	}

	int where_;
};

inline constexpr header_fields request_fields{0};
inline constexpr header_fields response_fields{1};

/* ---- Requests ---- */

class request
{
      public:
	request(const char *url, const char *argument) : url_(url), argument_(argument)
	{
	}

	request(const char *url, const char *argument, const char *content_type,
	        const std::uint8_t *body, std::size_t length)
	    : url_(url), argument_(argument), content_type_(content_type),
	      body_(body != nullptr ? std::string_view(reinterpret_cast<const char *>(body), length)
	                            : std::string_view()),
	      body_length_(length)
	{
	}

	/* `raw` must live as long as this. */
	explicit request(const kvm_request &raw)
	    : request(raw.url, raw.arg, raw.content_type, raw.content, raw.content_len)
	{
		raw_ = &raw;
	}

	/* "/path?query". */
	std::string_view url() const
	{
		return url_;
	}

	/* What the host adds for this program. */
	std::string_view argument() const
	{
		return argument_;
	}

	/* Of the body; empty without one. */
	std::string_view content_type() const
	{
		return content_type_;
	}

	/* Empty where there is none, or where on_stream_post() has had it. */
	std::string_view body() const
	{
		return body_;
	}

	/* Bytes of it, wherever they went. */
	std::size_t body_length() const
	{
		return body_length_;
	}

	std::string method() const
	{
		if (raw_ != nullptr)
			return raw_->method;
		return detail::asked([](char *out, std::size_t size) {
			       return sys_http_method(out, size);
		       })
		        .value_or(std::string());
	}

	/* The value of the first field of that name, as it has arrived where fields() has any. */
	std::optional<std::string> header(std::string_view name) const
	{
		if (raw_ == nullptr)
			return request_fields.get(name);
		for (const field &each : fields())
			if (detail::same_name(each.name, name))
				return std::string(each.value);
		return std::nullopt;
	}

	class field_iterator
	{
	      public:
		explicit field_iterator(const kvm_request_header *at) : at_(at)
		{
		}
		field operator*() const
		{
			return field::of(std::string_view(at_->field, at_->field_len));
		}
		field_iterator &operator++()
		{
			++at_;
			return *this;
		}
		bool operator!=(const field_iterator &other) const
		{
			return at_ != other.at_;
		}

	      private:
		const kvm_request_header *at_;
	};

	struct field_range {
		field_iterator first, last;

		field_iterator begin() const
		{
			return first;
		}
		field_iterator end() const
		{
			return last;
		}
	};

	/* All fields, in order: for on_request() and loops; others are given none. */
	field_range fields() const
	{
		const kvm_request_header *first = raw_ != nullptr ? raw_->headers : nullptr;
		const std::size_t count = raw_ != nullptr ? raw_->num_headers : 0;

		return {field_iterator(first), field_iterator(count > 0 ? first + count : first)};
	}

	/* Made by the host itself, so that the program is warm when it is frozen. */
	bool is_warm_up() const
	{
		return raw_ != nullptr && IS_WARMUP_REQUEST(raw_);
	}

	/* As kvm_api.h has it; nullptr but for on_request() and loops. */
	const kvm_request *raw() const
	{
		return raw_;
	}

      private:
	std::string_view url_, argument_, content_type_, body_;
	std::size_t body_length_ = 0;
	const kvm_request *raw_ = nullptr;
};

/* ---- Responses ---- */

/*
 * Gives the next piece, 1..maximum bytes, `written` bytes having been given
 * before; it must live until the next call. Empty: the response is broken off.
 */
using stream_function = std::function<std::string_view(std::size_t maximum, std::size_t written)>;

/*
 * A response, built in steps that can follow each other. content() owns what
 * it is given, by a copy or by a move; borrow() does not.
 */
class response
{
      public:
	/* status: 200..599. */
	explicit response(int status = 200, std::string_view type = std::string_view())
	    : status_(static_cast<std::int16_t>(status)), type_(type)
	{
	}

	response(int status, std::string_view type, std::string text) : response(status, type)
	{
		content(std::move(text));
	}

	response &type(std::string_view type) &
	{
		type_ = type;
		return *this;
	}

	/* Replaces a field of that name; at most 64. */
	response &header(std::string_view name, std::string_view value) &
	{
		fields_.push_back(detail::field_text(name, value));
		return *this;
	}

	/* A further field of that name, as Set-Cookie may need. */
	response &add_header(std::string_view name, std::string_view value) &
	{
		more_fields_.push_back(detail::field_text(name, value));
		return *this;
	}

	/* May be cached that long; then be used that much longer while a new one is fetched
	 * (grace), and be kept that long to be asked about (keep). */
	response &cache(seconds ttl, seconds grace = seconds(0), seconds keep = seconds(0)) &
	{
		cache_ = {true, true, ttl, grace, keep};
		return *this;
	}

	response &do_not_cache() &
	{
		cache_ = {true, false, seconds(0), seconds(0), seconds(0)};
		return *this;
	}

	response &content(std::string text) &
	{
		auto owned = std::make_shared<std::string>(std::move(text));

		return own(owned, *owned);
	}

	response &content(std::string_view text) &
	{
		return content(std::string(text));
	}

	response &content(const char *text) &
	{
		return content(std::string(text));
	}

	/* Of char, std::uint8_t, std::byte and the like. */
	template <class Byte, class = std::enable_if_t<sizeof(Byte) == 1>>
	response &content(std::vector<Byte> bytes) &
	{
		auto owned = std::make_shared<std::vector<Byte>>(std::move(bytes));

		return own(owned, std::string_view(reinterpret_cast<const char *>(owned->data()),
		                                   owned->size()));
	}

	/* Must live until the response is given: static data, an embedded file. Not copied. */
	response &borrow(std::string_view text) &
	{
		return own(nullptr, text);
	}

	/* `total` bytes, not 0, that the function gives piece by piece when the host wants them. It is
	 * kept: it may not refer to what lives on the stack. */
	response &stream(std::size_t total, stream_function function) &
	{
		stream_ = std::move(function);
		total_ = total;
		return *this;
	}

	/* The same for a response that has no name yet. */
	response &&type(std::string_view text) &&
	{
		return std::move(type(text));
	}
	response &&header(std::string_view name, std::string_view value) &&
	{
		return std::move(header(name, value));
	}
	response &&add_header(std::string_view name, std::string_view value) &&
	{
		return std::move(add_header(name, value));
	}
	response &&cache(seconds ttl, seconds grace = seconds(0), seconds keep = seconds(0)) &&
	{
		return std::move(cache(ttl, grace, keep));
	}
	response &&do_not_cache() &&
	{
		return std::move(do_not_cache());
	}
	template <class Content> response &&content(Content &&what) &&
	{
		return std::move(content(std::forward<Content>(what)));
	}
	response &&borrow(std::string_view text) &&
	{
		return std::move(borrow(text));
	}
	response &&stream(std::size_t total, stream_function function) &&
	{
		return std::move(stream(total, std::move(function)));
	}

	int status() const
	{
		return status_;
	}
	std::string_view type() const
	{
		return type_;
	}
	std::string_view content() const
	{
		return content_;
	}

      private:
	struct cache_policy {
		bool is_set = false, cacheable = false;
		seconds ttl{0}, grace{0}, keep{0};
	};

	response &own(std::shared_ptr<const void> owner, std::string_view content)
	{
		owner_ = std::move(owner);
		content_ = content;
		return *this;
	}

	void send() const
	{
		for (const std::string &each : more_fields_)
			sys_http_append(RESP, each.data(), each.size());
		if (cache_.is_set && (stream_ || !cache_.cacheable))
			set_cacheable(cache_.cacheable, cache_.ttl.count(), cache_.grace.count(),
			              cache_.keep.count());
		if (stream_)
			send_stream();
		else
			send_content();
	}

	/* Hosts want a pointer to fields even if there are none. */
	void send_content() const
	{
		std::array<ResponseHeader, 64> headers;
		const std::size_t count = std::min(fields_.size(), headers.size());
		BackendResponseExtra extra{};

		for (std::size_t i = 0; i < count; i++)
			headers[i] = {fields_[i].data(), fields_[i].size()};
		extra.headers = headers.data();
		extra.num_headers = static_cast<std::uint16_t>(count);
		extra.cached = cache_.cacheable;
		extra.ttl = cache_.ttl.count();
		extra.grace = cache_.grace.count();
		extra.keep = cache_.keep.count();
		sys_backend_response(status_, type_.data(), type_.size(), content_.data(),
		                     content_.size(),
		                     count == 0 && !cache_.cacheable ? nullptr : &extra);
	}

	void send_stream() const
	{
		for (const std::string &each : fields_)
			sys_http_set(RESP, each.data(), each.size());
		begin_streaming_response(status_, type_.data(), type_.size(), total_, next_piece,
		                         &stream_);
	}

	static streaming_content next_piece(void *function, std::size_t maximum,
	                                    std::size_t written, std::size_t)
	{
		const std::string_view piece = (*static_cast<const stream_function *>(function))(
			maximum, written);

		return {piece.data(), std::min(piece.size(), maximum)};
	}

	std::int16_t status_;
	std::string type_;
	std::vector<std::string> fields_, more_fields_;
	cache_policy cache_;
	std::shared_ptr<const void> owner_;
	std::string_view content_;
	stream_function stream_;
	std::size_t total_ = 0;

	friend void respond(response given);
};

namespace detail
{

/*
 * The host stops the program where it responds, and calls the next handler
 * anew: nothing that lives on the stack then would ever be destroyed, and what a
 * stream goes on with would be overwritten.
 */
inline std::optional<response> given_response;

} // namespace detail

/*
 * Gives a response to the host: the first one to a request counts. For loops;
 * handlers return theirs. It returns when the next request is there, where
 * the host lets the program go on, and outside of a sandbox.
 */
inline void respond(response given)
{
	detail::given_response.emplace(std::move(given)).send();
}

/* ---- Handlers: before waiting ---- */

using handler = std::function<response(const request &)>;
using error_handler = std::function<response(const request &, std::string_view exception)>;
using piece_handler = std::function<bool(const request &, std::string_view piece, std::size_t offset)>;

namespace detail
{

inline handler get_handler, post_handler, request_handler;
inline error_handler failure_handler;
inline piece_handler stream_post_handler;

} // namespace detail

/* A request without a body. */
inline void on_get(handler function)
{
	detail::get_handler = std::move(function);
	set_backend_get([](const char *url, const char *argument) {
		respond(detail::get_handler(request(url, argument)));
	});
}

/* A request with one. */
inline void on_post(handler function)
{
	detail::post_handler = std::move(function);
	set_backend_post([](const char *url, const char *argument, const char *type,
	                    const std::uint8_t *body, std::size_t length) {
		respond(detail::post_handler(request(url, argument, type, body, length)));
	});
}

/* Every request; goes before the two above. */
inline void on_request(handler function)
{
	detail::request_handler = std::move(function);
	set_backend_request(
		[](const kvm_request *raw) { respond(detail::request_handler(request(*raw))); });
}

/*
 * Each piece of a body as it arrives, before on_post() is called: then body() is
 * empty and body_length() says how much there was. Returns false to give up.
 */
inline void on_stream_post(piece_handler function)
{
	detail::stream_post_handler = std::move(function);
	set_backend_stream_post([](const char *url, const char *argument, const char *type,
	                           const std::uint8_t *data, std::size_t length, std::size_t offset) {
		const std::string_view piece(reinterpret_cast<const char *>(data), length);
		const request about(url, argument, type, nullptr, 0);

		return detail::stream_post_handler(about, piece, offset) ? static_cast<long>(length)
		                                                         : -1L;
	});
}

/* A request that has failed; `exception` says how. */
inline void on_error(error_handler function)
{
	detail::failure_handler = std::move(function);
	set_on_error([](const char *url, const char *argument, const char *exception) {
		respond(detail::failure_handler(request(url, argument), exception));
	});
}

/* Ends main() without ending the program; call it last. Returns only outside of a sandbox. */
inline void wait_for_requests()
{
	::wait_for_requests();
}

/* ---- A loop instead of handlers ---- */

/*
 * for (const kvm::request &request : kvm::requests())
 *         kvm::respond(...);
 *
 * The loop ends only outside of a sandbox, with the program.
 */
class requests
{
      public:
	class sentinel
	{
	};

	class iterator
	{
	      public:
		iterator()
		{
			++*this;
		}
		iterator(const iterator &) = delete;
		iterator &operator=(const iterator &) = delete;

		const request &operator*() const
		{
			return *request_;
		}
		iterator &operator++()
		{
			wait_for_requests_paused(&raw_);
			request_.emplace(raw_);
			return *this;
		}
		bool operator!=(sentinel) const
		{
			return true;
		}

	      private:
		kvm_request raw_{};
		std::optional<request> request_;
	};

	iterator begin() const
	{
		return iterator();
	}
	sentinel end() const
	{
		return sentinel();
	}
};

/* The same with a function that returns the response to each request. */
template <class Function> [[noreturn]] void serve(Function function)
{
	kvm_request raw{};

	for (;;) {
		wait_for_requests_paused(&raw);
		respond(function(request(raw)));
	}
}

/* ---- Regular expressions ---- */

namespace detail
{

/* By handle. The host has one for each pattern, however many objects want it. */
inline std::array<unsigned, 64> regex_users{};

} // namespace detail

/* A pattern that the host has compiled. A bad one ends the program or the request. */
class regex
{
      public:
	explicit regex(std::string_view pattern)
	    : handle_(sys_regex_compile(pattern.data(), pattern.size()))
	{
		if (is_counted())
			detail::regex_users[index()]++;
	}
	regex(regex &&other) noexcept : handle_(std::exchange(other.handle_, -1))
	{
	}
	regex &operator=(regex &&other) noexcept
	{
		std::swap(handle_, other.handle_);
		return *this;
	}
	~regex()
	{
		if (is_counted() && --detail::regex_users[index()] == 0)
			sys_regex_free(handle_);
	}

	/* False where the host has no regular expressions: it matches nothing then. */
	explicit operator bool() const
	{
		return handle_ >= 0;
	}

	bool matches(std::string_view text) const
	{
		return handle_ >= 0 && sys_regex_match(handle_, text.data(), text.size()) > 0;
	}

	/* With \0..\9 for groups; the text itself where nothing matches. */
	std::optional<std::string> replace(std::string_view text, std::string_view with) const
	{
		return substitute(std::string(text), std::string(with), 0);
	}
	std::optional<std::string> replace_all(std::string_view text, std::string_view with) const
	{
		return substitute(std::string(text), std::string(with), 1);
	}

	/* Appends the fields of one list that match, as "Name: value", to another. Returns how many. */
	int copy_fields(const header_fields &from, const header_fields &to) const
	{
		return handle_ >= 0 ? sys_regex_copyto(handle_, from.where(), to.where()) : 0;
	}

	int handle() const
	{
		return handle_;
	}

      private:
	std::size_t index() const
	{
		return static_cast<std::size_t>(handle_);
	}
	bool is_counted() const
	{
		return handle_ >= 0 && index() < detail::regex_users.size();
	}

	/* The host fills what room there is: a result with its NUL that leaves some is whole. */
	std::optional<std::string> substitute(const std::string &text, const std::string &with,
	                                      std::uint32_t flags) const
	{
		constexpr std::size_t room_maximum = std::size_t{16} << 20;
		std::string out;

		if (handle_ < 0)
			return std::nullopt;
		for (std::size_t room = 2 * text.size() + 256; room <= room_maximum; room *= 4) {
			out.resize(room);
			const int length = sys_regex_subst(handle_, text.c_str(), with.c_str(),
			                                   out.data(), room, flags);

			if (length <= 0)
				return std::nullopt;
			if (static_cast<std::size_t>(length) < room) {
				out.resize(static_cast<std::size_t>(length) - 1);
				return out;
			}
		}
		return std::nullopt;
	}

	int handle_;
};

/* ---- Logging ---- */

namespace detail
{

inline void append(std::string &text, std::string_view value)
{
	text.append(value);
}

template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
void append(std::string &text, Number value)
{
	char digits[64];

	if constexpr (std::is_same_v<Number, bool>)
		text.append(value ? "true" : "false");
	else if constexpr (std::is_same_v<Number, char>)
		text.push_back(value);
	else if constexpr (std::is_floating_point_v<Number>)
		text.append(digits, kvm_api_fitted(std::snprintf(digits, sizeof(digits), "%g",
		                                                 static_cast<double>(value)),
		                                   sizeof(digits)));
	else
		text.append(std::to_string(value));
}

/* Up to the next "{}", which is for one argument. */
inline std::string_view append_literal(std::string &text, std::string_view format)
{
	const std::size_t place = std::min(format.find("{}"), format.size());

	text.append(format.substr(0, place));
	return format.substr(std::min(place + 2, format.size()));
}

} // namespace detail

/* "{}" is replaced by the arguments in turn: texts, numbers, truth values. */
template <class... Arguments>
std::string format(std::string_view text, const Arguments &...arguments)
{
	std::string out;

	((text = detail::append_literal(out, text), detail::append(out, arguments)), ...);
	out.append(text);
	return out;
}

/* As format(), to the host's log; what is above 65535 bytes is cut. */
template <class... Arguments> void log(std::string_view text, const Arguments &...arguments)
{
	const std::string line = format(text, arguments...);

	sys_log(line.data(), std::min<std::size_t>(line.size(), 0xffff));
}

/* ---- Fetching ---- */

namespace detail
{

/* Memory that the host has mapped for an answer. */
class mapping
{
      public:
	mapping() = default;
	mapping(void *data, std::size_t length)
	    : data_(length > 0 ? data : nullptr), length_(length)
	{
	}
	mapping(mapping &&other) noexcept
	    : data_(std::exchange(other.data_, nullptr)), length_(std::exchange(other.length_, 0))
	{
	}
	mapping &operator=(mapping &&other) noexcept
	{
		std::swap(data_, other.data_);
		std::swap(length_, other.length_);
		return *this;
	}
	~mapping()
	{
		if (data_ != nullptr)
			munmap(data_, length_);
	}

	std::string_view view() const
	{
		return data_ != nullptr ? std::string_view(static_cast<const char *>(data_), length_)
		                        : std::string_view();
	}

      private:
	void *data_ = nullptr;
	std::size_t length_ = 0;
};

} // namespace detail

struct fetch_options {
	std::vector<std::string> fields;    /* "Name: value", at most 12 */
	std::string_view body = {};         /* sent by POST, if not empty */
	std::string_view content_type = {}; /* of it, at most 127 bytes */
	std::string network_interface = {}; /* to send from; empty: any */
	bool follow_redirects = true;
	bool only_head = false;
	bool check_host = true; /* that the certificate has its name */
	bool want_headers = false;
};

/* What came back; owns the memory that its views are of. */
class fetch_result
{
      public:
	explicit fetch_result(int error) : error_(error)
	{
	}
	explicit fetch_result(const curl_op &operation)
	    : status_(operation.status),
	      type_(operation.ctype,
	            std::find(operation.ctype,
	                      operation.ctype + std::min<std::size_t>(operation.ctlen,
	                                                              sizeof(operation.ctype)),
	                      '\0')),
	      content_(operation.content, operation.content_length),
	      headers_(operation.headers, operation.headers_length)
	{
	}

	/* There is an answer, whatever its status. */
	explicit operator bool() const
	{
		return error_ == 0;
	}

	/* 0, or why there is none: a negative CURLcode, or -EINVAL (more fields or a longer content
	 * type than there may be), -ENOSYS (the host does not fetch). */
	int error() const
	{
		return error_;
	}
	unsigned status() const
	{
		return status_;
	}
	std::string_view content_type() const
	{
		return type_;
	}
	std::string_view content() const
	{
		return content_.view();
	}
	/* Status line and fields as they came; empty if they were not wanted. */
	std::string_view headers() const
	{
		return headers_.view();
	}

      private:
	int error_ = 0;
	unsigned status_ = 0;
	std::string type_;
	detail::mapping content_, headers_;
};

/* url: at most 1024 bytes. One that begins with "/" asks the host itself. */
inline fetch_result fetch(std::string_view url, const fetch_options &options = {})
{
	curl_op operation{};
	curl_fields fields{};
	curl_options how{};

	if (options.fields.size() > CURL_FIELDS_COUNT ||
	    options.content_type.size() >= sizeof(operation.ctype))
		return fetch_result(-EINVAL);
	for (std::size_t i = 0; i < options.fields.size(); i++) {
		fields.ptr[i] = options.fields[i].data();
		fields.len[i] = static_cast<std::uint16_t>(options.fields[i].size());
	}
	operation.post_buffer = options.body.data();
	operation.post_buflen = static_cast<std::uint32_t>(options.body.size());
	operation.ctlen = static_cast<std::uint32_t>(options.content_type.size());
	options.content_type.copy(operation.ctype, sizeof(operation.ctype) - 1);
	/* No room given: 64 and more ask for them, as does 0 of some hosts. */
	operation.headers_length = options.want_headers ? 64 : 1;
	how.interface = options.network_interface.empty() ? nullptr
	                                                  : options.network_interface.c_str();
	how.follow_location = options.follow_redirects;
	how.dummy_fetch = options.only_head;
	how.dont_verify_host = !options.check_host;
	const long failed = sys_fetch(url.data(), url.size(), &operation, &fields, &how);

	return failed != 0 ? fetch_result(static_cast<int>(failed)) : fetch_result(operation);
}

/* ---- Storage ---- */

/*
 * Calls a function of the storage with copies of at most 64 buffers. Returns
 * what it gave back, up to `maximum` bytes of it; nothing where it failed.
 */
inline std::optional<std::string> storage_call(storage_func function,
                                               std::initializer_list<std::string_view> buffers,
                                               std::size_t maximum)
{
	std::vector<virtbuffer> copies;
	std::string out(maximum, '\0');

	for (std::string_view each : buffers)
		copies.push_back({each.data(), each.size()});
	const long length = storage_callv(function, copies.size(), copies.data(), out.data(),
	                                  maximum);

	if (length < 0)
		return std::nullopt;
	out.resize(std::min(static_cast<std::size_t>(length), maximum));
	return out;
}

/* Runs a function in the storage, later, with a copy of the data. */
inline bool storage_task(storage_task_func function, std::string_view data)
{
	return ::storage_task(function, data.data(), data.size()) >= 0;
}

/* In the storage: gives the answer, then goes on. */
inline void storage_return(std::string_view data)
{
	::storage_return(data.data(), data.size());
}

} // namespace kvm

#endif
