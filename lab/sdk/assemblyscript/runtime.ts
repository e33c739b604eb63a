// The memory manager of apps in AssemblyScript: a heap of fixed size, first fit, and mark and sweep when it is full.
//
// AssemblyScript's own managers ask how large memory is or for more of it, and a device then gives the app whole
// pages of 64 KiB. Here the heap has HEAP_SIZE bytes, and no app takes more than it was laid out for.
// An app that needs more than its heap ends with "unreachable".
//
// A block is its header and its payload, both multiples of 8 bytes. `info` is the size of the block and, in the low
// bits, what it is. The compiler asks for id and size of an object at the two words before it.

const HEADER: usize = 16;
const FREE: u32 = 0; // nobody's
const WHITE: u32 = 1; // in use; after marking: not reached
const GRAY: u32 = 2; // reached, its members not yet looked at
const BLACK: u32 = 3; // reached, and so are its members
const STATE: u32 = 3;
const PINNED: u32 = 4;

@unmanaged class Block {
  info: u32;
  reserved: u32;
  id: u32;
  used: u32;
}

// Behind the data and the compiler's stack of references, so that it costs nothing where it is not used.
// @ts-ignore: decorator
@inline function heap(): usize {
  return (__heap_base + 7) & ~7;
}

// @ts-ignore: decorator
@inline function end(): usize {
  return heap() + HEAP_SIZE;
}

let ready = false;

/** Where the compiler's layout ends; build.mjs reads it and removes the function. */
export function layout(): usize {
  return __heap_base;
}

function size(block: Block): usize {
  return block.info & ~7;
}

function next(block: Block): Block {
  return changetype<Block>(changetype<usize>(block) + size(block));
}

function blockOf(object: usize): Block {
  return changetype<Block>(object - HEADER);
}

/** Takes the first free block of `wanted` bytes; null if there is none. Free neighbours become one on the way. */
function take(wanted: usize): Block | null {
  for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = next(block)) {
    if (block.info & STATE) continue;
    for (let after = next(block); changetype<usize>(after) < end() && !(after.info & STATE); after = next(block)) {
      block.info += after.info;
    }
    const rest = size(block) - wanted;
    if (<isize>rest < 0) continue;
    if (rest >= HEADER) {
      block.info = <u32>wanted;
      next(block).info = <u32>rest;
    }
    block.info |= WHITE;
    return block;
  }
  return null;
}

// @ts-ignore: decorator
@global @unsafe
export function __new(bytes: usize, id: u32): usize {
  if (bytes > <usize>HEAP_SIZE) unreachable();
  if (!ready) {
    changetype<Block>(heap()).info = HEAP_SIZE;
    ready = true;
  }
  const wanted = (bytes + HEADER + 7) & ~7;
  let found = take(wanted);
  if (!found) {
    __collect();
    found = take(wanted);
    if (!found) unreachable();
  }
  const block = changetype<Block>(found);
  block.id = id;
  block.used = <u32>bytes;
  const object = changetype<usize>(block) + HEADER;
  memory.fill(object, 0, bytes);
  return object;
}

// @ts-ignore: decorator
@global @unsafe
export function __renew(object: usize, bytes: usize): usize {
  const block = blockOf(object);
  if (object >= heap() && object < end() && bytes <= size(block) - HEADER) {
    block.used = <u32>bytes;
    return object;
  }
  // The old one must outlive a collection for the new one.
  const pinned = object >= heap() && object < end() && !(block.info & PINNED);
  if (pinned) block.info |= PINNED;
  const moved = __new(bytes, block.id);
  if (pinned) block.info &= ~PINNED;
  memory.copy(moved, object, min(bytes, <usize>block.used));
  return moved;
}

// A write needs no barrier: nothing runs between the steps of a collection.
// @ts-ignore: decorator
@global @unsafe
export function __link(parent: usize, child: usize, many: bool): void {}

// @ts-ignore: decorator
@global @unsafe
export function __pin(object: usize): usize {
  if (object >= heap() && object < end()) blockOf(object).info |= PINNED;
  return object;
}

// @ts-ignore: decorator
@global @unsafe
export function __unpin(object: usize): void {
  if (object >= heap() && object < end()) blockOf(object).info &= ~PINNED;
}

// @ts-ignore: decorator
@global @unsafe
export function __visit(object: usize, cookie: u32): void {
  if (object < heap() + HEADER || object >= end()) return;
  const block = blockOf(object);
  if ((block.info & STATE) == WHITE) block.info = (block.info & ~STATE) | GRAY;
}

// @ts-ignore: decorator
@global @unsafe
export function __collect(): void {
  if (!ready) return;
  __visit_globals(0);
  for (let slot = __stack_pointer; slot < __heap_base; slot += sizeof<usize>()) __visit(load<usize>(slot), 0);
  // By passes over the heap and not by recursion, whose depth an app's data would set.
  let again: bool;
  do {
    again = false;
    for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = next(block)) {
      const state = block.info & STATE;
      if (state == GRAY || (state == WHITE && block.info & PINNED)) {
        block.info |= BLACK;
        __visit_members(changetype<usize>(block) + HEADER, 0);
        again = true;
      }
    }
  } while (again);
  for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = next(block)) {
    const state = block.info & STATE;
    if (state == WHITE) block.info &= ~STATE;
    else if (state == BLACK) block.info = (block.info & ~STATE) | WHITE;
  }
}
