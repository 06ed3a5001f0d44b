// SPDX-License-Identifier: Apache-2.0
//
// The first program: runs the others, one after the other or all together, and says how each ended.
#include "common/options.h"
#include "user/system.h"

// What a program ends with when the kernel kills it for a page fault: 128 and the vector.
enum { kSegmentationFault = 128 + 14 };

typedef struct Program {
  const char* name;
  const char* option;  // that gives its argument
  unsigned long argument;
  int expected_code;
} Program;

static const Program programs[] = {
    {"sort", "n", 100000, 0},
    {"matrix", "size", 128, 0},
    {"churn", "rounds", 150, 0},
    {"forkstorm", "forks", 200, 0},
    {"fault", "fault", 0, kSegmentationFault},
};
enum { kPrograms = sizeof programs / sizeof programs[0] };

static char options[kCommandLineBytes];

static int start(const Program* program) {
  int child = fork();
  if (child != 0) return child;
  exec(program->name, option_number(options, program->option, program->argument));
  leave(127);  // no such program
}

// Waits for any child; false if there is none. Counts those that did not end as they should.
static int finish_one(const int* numbers, int* failures) {
  int code = 0;
  int number = wait(&code);
  if (number < 0) return 0;
  for (int i = 0; i < kPrograms; i++) {
    if (numbers[i] != number) continue;
    int good = code == programs[i].expected_code;
    print("init: %s ended with %d%s\n", programs[i].name, code, good ? "" : ", which is wrong");
    if (!good) ++*failures;
  }
  return 1;
}

int main(unsigned long argument) {
  (void)argument;
  command_line(options, sizeof options);
  int together = option_number(options, "together", 0) != 0;
  int numbers[kPrograms];
  int failures = 0;
  for (int i = 0; i < kPrograms; i++) {
    numbers[i] = -1;
    if (!option_lists(options, "run", programs[i].name)) continue;
    numbers[i] = start(&programs[i]);
    if (numbers[i] < 0) {
      print("init: no process for %s\n", programs[i].name);
      failures++;
    }
    if (!together) finish_one(numbers, &failures);
  }
  while (finish_one(numbers, &failures)) {
  }
  print("init: %s\n", failures == 0 ? "all programs ended as they should" : "something went wrong");
  return failures != 0;
}
