// SPDX-License-Identifier: Apache-2.0
#include "teach/exec.h"

#include "common/cpu.h"
#include "common/string.h"
#include "teach/image.h"

// The start of each image (user/start.S); all addresses are those of the program.
typedef struct ImageHeader {
  uintptr_t magic;
  uintptr_t entry;
  uintptr_t text_end;  // code and constants; on a page boundary, as are the other two
  uintptr_t data_end;  // variables with a value; the image ends here
  uintptr_t zero_end;  // variables without; the heap starts here
} ImageHeader;

typedef struct Image {
  const char* name;
  const ImageHeader* header;
} Image;

extern const Image images[];  // the last has no name (user/images.S)

enum { kStackBytes = 256 * kPageSize };

static const ImageHeader* find_image(const char* name) {
  for (const Image* image = images; image->name != NULL; image++) {
    if (string_equal(image->name, name)) return image->header;
  }
  return NULL;
}

static void set_areas(AddressSpace* space, const ImageHeader* image) {
  const uint8_t* bytes = (const uint8_t*)image;
  Area* areas = space->areas;
  areas[kTextArea] = (Area){IMAGE_START, image->text_end, bytes, false, true};
  areas[kDataArea] = (Area){image->text_end, image->data_end,
                            bytes + (image->text_end - IMAGE_START), true, false};
  areas[kHeapArea] = (Area){image->data_end, image->zero_end, NULL, true, false};
  areas[kStackArea] = (Area){USER_STACK_END - kStackBytes, USER_STACK_END, NULL, true, false};
}

bool exec_into(Process* process, unsigned tag, const char* name, uintptr_t argument,
               TrapFrame* frame) {
  const ImageHeader* image = find_image(name);
  if (image == NULL || image->magic != IMAGE_MAGIC || !space_new(&process->space, tag))
    return false;
  set_areas(&process->space, image);
  memset(process->name, 0, kNameBytes);
  memcpy(process->name, name, string_length(name));
  frame_start(frame, image->entry, USER_STACK_END, argument);
  return true;
}

bool exec(const char* name, uintptr_t argument, TrapFrame* frame) {
  AddressSpace old = current->space;
  if (!exec_into(current, old.tag, name, argument, frame)) {
    current->space = old;
    return false;
  }
  space_load(&current->space);
  space_destroy(&old);
  return true;
}
