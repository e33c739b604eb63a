// The memory manager of apps in AssemblyScript: a heap of fixed size, first fit, and mark and sweep when it
// is full.
//
// AssemblyScript's own managers ask how large memory is or for more of it, and a device then gives the app
// whole pages of 64 KiB. Here the heap has HEAP_SIZE bytes, and no app takes more than it was laid out for.
// An app that needs more than its heap ends with "unreachable".
//
// A block is its header and its payload, both multiples of 8 bytes. `info` is the size of the block and, in
// the low bits, what it is. The compiler asks for id and size of an object at the two words before it.
// Objects that it has laid out itself, with the data, have a header of the same form where `info` is 0; they
// are never freed, but refer to others.

const HEADER: usize = 16;
const STATE: u32 = 3; // 0 is nobody's
const WHITE: u32 = 1; // in use; after marking: not reached
const REACHED: u32 = 2;
const PINNED: u32 = 4;

@unmanaged class Block {
  info: u32;
  next: Block | null; // of the list it is in while a collection runs
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
let pending: Block | null = null; // reached, their members not yet looked at
let outside: Block | null = null; // reached, with the data

/** Where the compiler's layout ends; build.mjs reads it and removes the function. */
export function layout(): usize {
  return __heap_base;
}

function size(block: Block): usize {
  return block.info & ~7;
}

function after(block: Block): Block {
  return changetype<Block>(changetype<usize>(block) + size(block));
}

function isOnHeap(block: Block): bool {
  return changetype<usize>(block) >= heap();
}

function blockOf(object: usize): Block {
  return changetype<Block>(object - HEADER);
}

/** Takes the first free block of `wanted` bytes; null if there is none. Free neighbours become one. */
function take(wanted: usize): Block | null {
  for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = after(block)) {
    if (block.info & STATE) continue;
    let other = after(block);
    while (changetype<usize>(other) < end() && !(other.info & STATE)) {
      block.info += other.info;
      other = after(block);
    }
    const rest = size(block) - wanted;
    if (<isize>rest < 0) continue;
    if (rest >= HEADER) {
      block.info = <u32>wanted;
      after(block).info = <u32>rest;
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
  const used = <usize>block.used;
  if (isOnHeap(block) && bytes <= size(block) - HEADER) {
    if (bytes > used) memory.fill(object + used, 0, bytes - used);
    block.used = <u32>bytes;
    return object;
  }
  // The old one must outlive a collection for the new one.
  const info = block.info;
  __pin(object);
  const moved = __new(bytes, block.id);
  if (!(info & PINNED)) __unpin(object);
  memory.copy(moved, object, min(bytes, used));
  return moved;
}

// A write needs no barrier: nothing runs between the steps of a collection.
// @ts-ignore: decorator
@global @unsafe
export function __link(parent: usize, child: usize, many: bool): void {}

// @ts-ignore: decorator
@global @unsafe
export function __pin(object: usize): usize {
  const block = blockOf(object);
  if (isOnHeap(block)) block.info |= PINNED;
  return object;
}

// @ts-ignore: decorator
@global @unsafe
export function __unpin(object: usize): void {
  const block = blockOf(object);
  if (isOnHeap(block)) block.info &= ~PINNED;
}

// @ts-ignore: decorator
@global @unsafe
export function __visit(object: usize, cookie: u32): void {
  if (!object) return;
  const block = blockOf(object);
  if (block.info & REACHED) return;
  block.info = (block.info & ~STATE) | REACHED;
  block.next = pending;
  pending = block;
}

// @ts-ignore: decorator
@global @unsafe
export function __collect(): void {
  if (!ready) return;
  __visit_globals(0);
  for (let slot = __stack_pointer; slot < __heap_base; slot += sizeof<usize>()) __visit(load<usize>(slot), 0);
  for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = after(block)) {
    if (block.info & PINNED) __visit(changetype<usize>(block) + HEADER, 0);
  }
  // By a list and not by recursion, whose depth an app's data would set.
  while (pending) {
    const block = changetype<Block>(pending);
    pending = block.next;
    __visit_members(changetype<usize>(block) + HEADER, 0);
    if (!isOnHeap(block)) {
      block.next = outside;
      outside = block;
    }
  }
  for (let block = changetype<Block>(heap()); changetype<usize>(block) < end(); block = after(block)) {
    const state = block.info & STATE;
    if (state == WHITE) block.info &= ~STATE;
    else if (state == REACHED) block.info = (block.info & ~STATE) | WHITE;
  }
  while (outside) {
    const block = changetype<Block>(outside);
    block.info = 0;
    outside = block.next;
  }
}
