//! Counts the bytes that the process holds. RSS is no measure of it: an allocator keeps pages that are free.
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

/// Returns the bytes that were allocated and not freed. SQLite's own memory is not in it: C code does not ask this allocator.
pub(crate) fn live() -> i64 {
    LIVE.load(Relaxed)
}

fn add(bytes: usize) {
    LIVE.fetch_add(bytes as i64, Relaxed);
}

fn remove(bytes: usize) {
    LIVE.fetch_sub(bytes as i64, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let at = unsafe { System.alloc(layout) };
        if !at.is_null() {
            add(layout.size());
        }
        at
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let at = unsafe { System.alloc_zeroed(layout) };
        if !at.is_null() {
            add(layout.size());
        }
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) };
        remove(layout.size());
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let at = unsafe { System.realloc(at, layout, size) };
        if !at.is_null() {
            remove(layout.size());
            add(size);
        }
        at
    }
}
