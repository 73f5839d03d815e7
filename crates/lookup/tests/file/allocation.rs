//! The largest allocation that a thread asked for, whether it was given or not.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Watch;

#[global_allocator]
static WATCH: Watch = Watch;

fn note(len: usize) {
    // A thread that is ending has no cell any more, and nobody asks for it.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(len)));
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts")]
// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size);
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Begins anew in this thread.
pub(crate) fn watch() {
    LARGEST.set(0);
}

/// The largest since then.
pub(crate) fn largest() -> usize {
    LARGEST.get()
}
