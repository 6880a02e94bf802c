# SPDX-License-Identifier: MIT
"""Runs a module of Python's own tests, and prints what became of each.

usage: own_tests.py MODULE [LEFT-OUT]...    LEFT-OUT is a part of the name of a test
"""
import sys
import unittest


class Printed(unittest.TestResult):
    def addSuccess(self, test):
        print(test.id(), "passed")

    def addFailure(self, test, error):
        print(test.id(), "failed", error[1])

    def addError(self, test, error):
        print(test.id(), "error", error[1])

    def addSkip(self, test, reason):
        print(test.id(), "skipped")

    def addSubTest(self, test, subtest, error):
        if error:
            print(subtest.id(), "failed", error[1])


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


tests = flat(unittest.defaultTestLoader.loadTestsFromName("test." + sys.argv[1]))
unittest.TestSuite(test for test in tests
                   if not any(part in test.id() for part in sys.argv[2:])).run(Printed())
