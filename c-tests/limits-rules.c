/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "limits-rules.h"

#include <glib.h>
#include <string.h>

__extension__ typedef unsigned __int128 Wide;

#define MOST_BITS (UINT64_C(1) << 41)

static Wide bits_for(uint64_t size, int granularity)
{
    return ((Wide)size + ((Wide)1 << granularity) - 1) >> granularity;
}

bool shape_allowed(uint64_t size, int granularity)
{
    return granularity >= 0 && granularity < 64 && size <= INT64_MAX &&
           bits_for(size, granularity) <= MOST_BITS;
}

void plain_init(Plain *plain, uint64_t size, int granularity)
{
    memset(plain, 0, sizeof(*plain));
    g_assert_true(shape_allowed(size, granularity) && bits_for(size, granularity) <= PLAIN_BITS);
    plain->size = size;
    plain->granularity = granularity;
    plain->bits = (uint64_t)bits_for(size, granularity);
}

static Answer returns(int64_t value)
{
    return (Answer){ .fate = FATE_RETURNS, .value = value };
}

static Answer ends(Fate fate)
{
    return (Answer){ .fate = fate };
}

static uint64_t dirty_items(const Plain *plain)
{
    uint64_t count = 0;

    for (uint64_t bit = 0; bit < plain->bits; bit++) {
        count += plain->dirty[bit];
    }
    return count << plain->granularity;
}

/* Whether start..start + count, count > 0, is within the bits; what happens if it is not. */
static bool holds(const Plain *plain, Wide last, Fate *fate)
{
    *fate = last > UINT64_MAX ? FATE_ABORTS_HERE : FATE_ABORTS;
    return last >> plain->granularity < plain->bits;
}

static bool within(const Plain *plain, uint64_t start, uint64_t count, Fate *fate)
{
    return holds(plain, (Wide)start + count - 1, fate);
}

static Answer fill(Plain *plain, uint64_t start, uint64_t count, bool dirty)
{
    for (Wide bit = start >> plain->granularity;
         bit <= ((Wide)start + count - 1) >> plain->granularity; bit++) {
        plain->dirty[bit] = dirty;
    }
    return returns((int64_t)dirty_items(plain));
}

static Answer rule_set(Plain *plain, uint64_t start, uint64_t count)
{
    Fate fate;

    if (count == 0) {
        return returns((int64_t)dirty_items(plain));
    }
    return within(plain, start, count, &fate) ? fill(plain, start, count, true) : ends(fate);
}

static Answer rule_reset(Plain *plain, uint64_t start, uint64_t count)
{
    uint64_t inside = (UINT64_C(1) << plain->granularity) - 1;
    Fate fate;

    if (count == 0) {
        return returns((int64_t)dirty_items(plain));
    }
    if ((start & inside) || ((count & inside) && start + count != plain->size)) {
        return ends(FATE_ABORTS);
    }
    return within(plain, start, count, &fate) ? fill(plain, start, count, false) : ends(fate);
}

/* The first item of start..start + count, cut at the size, whose bit is as wanted; -1. */
static int64_t search(const Plain *plain, uint64_t start, uint64_t count, bool dirty)
{
    Wide end = MIN((Wide)start + count, (Wide)plain->size);

    for (Wide item = start; item < end;
         item = ((item >> plain->granularity) + 1) << plain->granularity) {
        if (plain->dirty[item >> plain->granularity] == dirty) {
            return (int64_t)item;
        }
    }
    return -1;
}

static Answer rule_next(const Plain *plain, uint64_t start, uint64_t count, bool dirty)
{
    bool negative = start > INT64_MAX || count > INT64_MAX;
    uint64_t words = MAX((plain->bits + 63) / 64, 1);
    /* QEMU's hbitmap_next_zero has read its word by the time it looks at start. */
    bool outside = !dirty && (start > INT64_MAX || (start >> plain->granularity) / 64 >= words);
    Answer answer;

    if (negative) {
        return ends(outside ? FATE_ABORTS_HERE : FATE_ABORTS);
    }
    answer = returns(search(plain, start, count, dirty));
    answer.fate = outside ? FATE_RETURNS_HERE : FATE_RETURNS;
    return answer;
}

/* @second is the end, and no run is longer than it either. */
static Answer rule_area(const Plain *plain, uint64_t start, uint64_t second)
{
    Answer answer;
    int64_t end, clean;

    if (start > INT64_MAX || second > INT64_MAX || second == 0) {
        return ends(FATE_ABORTS);
    }
    end = (int64_t)MIN(second, plain->size);
    if ((int64_t)start >= end) {
        return returns(-1);
    }
    answer = returns(search(plain, start, (uint64_t)end - start, true));
    if (answer.value >= 0) {
        clean = search(plain, (uint64_t)answer.value, (uint64_t)(end - answer.value), false);
        answer.length = (clean < 0 ? end : clean) - answer.value;
    }
    return answer;
}

static Answer rule_status(const Plain *plain, uint64_t start, uint64_t count)
{
    Answer answer;
    int64_t other;

    if (start > INT64_MAX || count > INT64_MAX || count == 0 || (Wide)start + count > plain->size) {
        return ends(FATE_ABORTS);
    }
    answer = returns(plain->dirty[start >> plain->granularity]);
    other = search(plain, start, count, !answer.value);
    answer.length = other < 0 ? (int64_t)count : other - (int64_t)start;
    return answer;
}

/*
 * The bytes of a part; a part of nothing is no part. A range that wraps is none either, but has a
 * size, which no buffer has.
 */
static Answer rule_part(const Plain *plain, uint64_t start, uint64_t count, bool may_wrap)
{
    Wide unit = (Wide)64 << plain->granularity;
    Wide last = may_wrap ? start + count - 1 : (Wide)start + count - 1;
    Fate fate;

    if (count == 0) {
        return returns(0);
    }
    if (plain->granularity >= 58 || start % unit) {
        return ends(FATE_ABORTS);
    }
    if (!holds(plain, last, &fate)) {
        return ends(fate);
    }
    last >>= plain->granularity;
    if (count % unit && last != plain->bits - 1) {
        return ends(FATE_ABORTS);
    }
    return returns((int64_t)(((last >> 6) - ((start >> plain->granularity) >> 6) + 1) * 8));
}

Answer rule(Plain *plain, LimitCall call, uint64_t first, uint64_t second)
{
    Answer answer;

    switch (call) {
    case LIMIT_SET:
        return rule_set(plain, first, second);
    case LIMIT_RESET:
        return rule_reset(plain, first, second);
    case LIMIT_GET:
        return first >> plain->granularity < plain->bits
                   ? returns(plain->dirty[first >> plain->granularity])
                   : ends(FATE_ABORTS);
    case LIMIT_NEXT_DIRTY:
        return rule_next(plain, first, second, true);
    case LIMIT_NEXT_ZERO:
        return rule_next(plain, first, second, false);
    case LIMIT_NEXT_AREA:
        return rule_area(plain, first, second);
    case LIMIT_STATUS:
        return rule_status(plain, first, second);
    case LIMIT_SERIAL_SIZE:
        return rule_part(plain, first, second, true);
    case LIMIT_ZEROES:
        answer = rule_part(plain, first, second, false);
        if (answer.fate == FATE_RETURNS && second > 0) {
            Wide words_end = (((Wide)first + second - 1) >> plain->granularity | 63) + 1;

            for (Wide bit = first >> plain->granularity; bit < MIN(words_end, plain->bits); bit++) {
                plain->dirty[bit] = false;
            }
        }
        answer.value = (int64_t)dirty_items(plain);
        return answer;
    case LIMIT_ITER:
        if (first >> plain->granularity >= plain->bits) {
            return ends(FATE_ABORTS);
        }
        answer = returns(
            search(plain, first >> plain->granularity << plain->granularity, UINT64_MAX, true));
        return answer;
    case LIMIT_CALLS:
        break;
    }
    g_assert_not_reached();
}
