/* SPDX-License-Identifier: MIT */
/* Points in time on a command line; see run-time.h. */
#include "run-time.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

/* Decimals of a second, if there are any; moves *text behind them. */
static bool parse_fraction(const char **text, int64_t *nanoseconds)
{
	int64_t unit = SECOND / 10;

	*nanoseconds = 0;
	if (**text != '.')
		return true;
	++*text;
	if (!isdigit((unsigned char)**text))
		return false;
	for (; isdigit((unsigned char)**text) && unit > 0; ++*text, unit /= 10)
		*nanoseconds += (**text - '0') * unit;
	return true;
}

/* "Z", or how far the place's clocks are ahead. */
static bool parse_offset(const char *text, int64_t *seconds)
{
	unsigned hours, minutes;
	char sign;
	int length = 0;

	*seconds = 0;
	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return true;
	if (sscanf(text, "%c%2u:%2u%n", &sign, &hours, &minutes, &length) != 3 || length != 6 ||
	    text[length] != '\0' || (sign != '+' && sign != '-') || hours > 23 || minutes > 59)
		return false;
	*seconds = (int64_t)(hours * 3600 + minutes * 60) * (sign == '+' ? 1 : -1);
	return true;
}

static bool is_date(const struct tm *given)
{
	struct tm same = *given;

	/* It puts right what there is not, as the 31st of April; leap seconds, too. */
	timegm(&same);
	return same.tm_mday == given->tm_mday && same.tm_mon == given->tm_mon &&
	       same.tm_hour == given->tm_hour && same.tm_min == given->tm_min &&
	       same.tm_sec == given->tm_sec;
}

static bool parse_date(const char **text, int64_t *seconds)
{
	struct tm date = {0};
	int length = 0;

	if (sscanf(*text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &date.tm_year, &date.tm_mon,
	           &date.tm_mday, &date.tm_hour, &date.tm_min, &date.tm_sec, &length) != 6 ||
	    length != 19)
		return false;
	date.tm_year -= 1900;
	date.tm_mon--;
	if (!is_date(&date))
		return false;
	*seconds = (int64_t)timegm(&date);
	*text += length;
	return true;
}

static bool parse_seconds(const char **text, int64_t *seconds)
{
	char *end;

	*text += **text == '@';
	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*seconds = strtoll(*text, &end, 10);
	*text = end;
	return errno == 0;
}

bool run_time_parse(const char *text, uint64_t *nanoseconds)
{
	bool dated = strchr(text, ':') != NULL;
	int64_t seconds, fraction, offset = 0, time;

	if (!(dated ? parse_date(&text, &seconds) : parse_seconds(&text, &seconds)) ||
	    !parse_fraction(&text, &fraction))
		return false;
	if (dated ? !parse_offset(text, &offset) : *text != '\0')
		return false;
	if (__builtin_mul_overflow(seconds - offset, SECOND, &time) ||
	    __builtin_add_overflow(time, fraction, &time) || time < 0)
		return false;
	*nanoseconds = (uint64_t)time;
	return true;
}
