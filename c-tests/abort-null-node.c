/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NULL for the arguments of the stand-alone host's functions. */
#include "abort-case.h"

/* function, argument, call */
#define CALLS(X)                                                       \
    X(qdb_node_set_length, bs, qdb_node_set_length(NULL, 5))           \
    X(qdb_node_length, bs, qdb_node_length(NULL))                      \
    X(qdb_node_set_driver, bs, qdb_node_set_driver(NULL, NULL, NULL))  \
    X(qdb_error_message, error, qdb_error_message(NULL))                 \
    X(qdb_error_hint, error, qdb_error_hint(NULL))

#define NULL_DIFFERENCE DIFF_HOST

CALLS(NULL_BODY)

static const AbortCase cases[] = { CALLS(NULL_CASE) };

void add_node_null_aborts(void)
{
    add_null_cases("null", cases, G_N_ELEMENTS(cases));
}
