#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums up the stages of tools/test.

usage: test_summary.py META...              the summary; exit status 1 when something failed
       test_summary.py --failures META      the output of one stage's failed tests

A META file holds key=value lines; the JUnit file that ctest wrote lies next to it (.xml). A stage
whose build failed, or whose ctest stopped without a failed test, counts as one failure. A stage
that found no test counts as one skip, so that a lost label is seen.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree

LINES_PER_FAILURE = 60


class Stage:
    def __init__(self, meta_path):
        self.meta = {}
        with open(meta_path, encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.rstrip("\n").partition("=")
                self.meta[key] = value
        self.name = self.meta["name"]
        self.passed = 0
        self.failed = []  # (name, reason, output)
        self.skipped = []  # (name, reason)
        self._read(os.path.splitext(meta_path)[0] + ".xml")

    def _read(self, xml_path):
        if self.meta.get("build") != "ok":
            self.failed.append(("(build)", f"see {self.meta['log']}", ""))
            return
        if os.path.exists(xml_path):
            for case in ElementTree.parse(xml_path).getroot().iter("testcase"):
                self._add(case)
        if self.meta.get("ctest_status") != "0" and not self.failed:
            self.failed.append(
                ("(ctest)", f"stopped with status {self.meta.get('ctest_status')}",
                 tail_of(self.meta.get("test_log", ""))))
        if not (self.passed or self.failed or self.skipped):
            label = self.meta.get("label")
            which = f"no test carries the label '{label}'" if label else "no tests"
            self.skipped.append(("(whole stage)", which))

    def _add(self, case):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        status = case.get("status")
        if status == "run":
            self.passed += 1
        elif status == "disabled":
            self.skipped.append((name, "disabled"))
        elif status == "notrun" and is_skip(case):
            # A skip must not hide what a sanitizer finds when the program exits.
            if re.search(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:", output):
                self.failed.append((name, "skipped, but a sanitizer complained", output))
            else:
                self.skipped.append((name, skip_reason(output)))
        else:
            failure = case.find("failure")
            if failure is None:
                failure = case.find("skipped")
            message = failure.get("message", "") if failure is not None else ""
            if message in ("", "fail", "Failed"):
                message = failure_reason(output)
            self.failed.append((name, message, output))

    def seconds(self, key):
        return int(self.meta.get(key, "0"))


def is_skip(case):
    """True when the test itself asked to be skipped; a missing program is a failure."""
    skipped = case.find("skipped")
    return skipped is not None and skipped.get("message", "").startswith("SKIP_")


def skip_reason(output):
    """The text given to GTEST_SKIP(), which GoogleTest prints below "file:line: Skipped"."""
    match = re.search(r"^\S+:\d+: Skipped\n(.*?)^\[  SKIPPED \]", output, re.M | re.S)
    reason = " ".join(match.group(1).split()) if match else ""
    return reason or "no reason given"


def failure_reason(output):
    """The first line that says what went wrong; the whole output is printed elsewhere."""
    match = re.search(
        r"^.*(: Failure$|ERROR: .*|WARNING: ThreadSanitizer.*|runtime error: .*|CMake Error.*"
        r"|error: .*|crash on .*)", output, re.M)
    return match.group(0).strip() if match else "failed without a message"


def tail_of(path, count=20):
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            return "".join(lines.readlines()[-count:])
    except OSError:
        return ""


def duration(seconds):
    return f"{seconds // 60}m{seconds % 60:02d}s"


def print_failures(stage):
    for name, reason, output in stage.failed:
        print(f"-- FAILED {stage.name} {name}: {reason}")
        lines = output.splitlines()
        if len(lines) > LINES_PER_FAILURE:
            cut = len(lines) - LINES_PER_FAILURE
            lines = [f"   ({cut} earlier lines are in {stage.meta.get('test_log')})"] + \
                lines[-LINES_PER_FAILURE:]
        for line in lines:
            print(f"   {line}")


def print_summary(stages):
    print("\n== summary")
    print(f"{'stage':<10}{'passed':>8}{'failed':>8}{'skipped':>9}{'build':>9}{'test':>9}")
    for stage in stages:
        print(f"{stage.name:<10}{stage.passed:>8}{len(stage.failed):>8}{len(stage.skipped):>9}"
              f"{duration(stage.seconds('build_seconds')):>9}"
              f"{duration(stage.seconds('test_seconds')):>9}")
    for word, entries in (
            ("skipped", [(s.name, n, r) for s in stages for n, r in s.skipped]),
            ("failed", [(s.name, n, r) for s in stages for n, r, _ in s.failed])):
        if entries:
            print(f"\n{word}:")
            for stage_name, name, reason in entries:
                print(f"  {stage_name} {name}: {reason}")
    passed = sum(s.passed for s in stages)
    failed = sum(len(s.failed) for s in stages)
    skipped = sum(len(s.skipped) for s in stages)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def main(arguments):
    if arguments[:1] == ["--failures"]:
        print_failures(Stage(arguments[1]))
        return 0
    return print_summary([Stage(path) for path in arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
