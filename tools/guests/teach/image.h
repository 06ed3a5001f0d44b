// SPDX-License-Identifier: Apache-2.0
//
// Where the image of a program is linked, and what it starts with. For C and for the assembler.
#ifndef GUESTS_TEACH_IMAGE_H_
#define GUESTS_TEACH_IMAGE_H_

#define IMAGE_START 0x40000000
#define IMAGE_MAGIC 0x676d4931  // "1Img"

#endif  // GUESTS_TEACH_IMAGE_H_
