//! The allocator of our own programs, and how it is tuned. A program that embeds the engine brings its own.

pub use mimalloc::MiMalloc;

/// Freed memory goes back to the kernel after this long (ms).
///
/// Every tick needs some tens of megabytes for a moment. With mimalloc's default of 10 ms they are given back between two
/// ticks (100 ms) and cleared by the kernel again: a fifth of all processor time in Job J.
const PURGE_AFTER: std::ffi::c_long = 1_000;
/// `mi_option_purge_delay` of mimalloc.h, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Tunes mimalloc, which must be the program's global allocator. `MIMALLOC_PURGE_DELAY` in the environment wins.
pub fn tune() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: sets one word of the allocator's own options; it may be called at any time, from any thread.
        #[allow(unsafe_code)]
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_AFTER);
        }
    }
}
