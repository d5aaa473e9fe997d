//! The C interface of `go/main.go`.

use std::sync::Once;

/// Version of the interface that this side speaks: `(major << 16) | minor`.
const ABI: u32 = 1 << 16;

/// Go's collector setting. The live heap between requests is tiny, so collecting rarely doubles the
/// throughput (reference `cue-engine` section 3.1).
const GOGC: i32 = 800;

/// Soft limit of Go's heap, about 70 % of the hard limit of a worker: near it the collector works harder
/// instead of letting the process die.
const MEMORY_LIMIT: i64 = 358 << 20;

#[repr(C)]
struct Input {
    ptr: *const u8,
    len: usize,
}

#[repr(C)]
struct Output {
    ptr: *mut u8,
    len: usize,
}

#[expect(unsafe_code, reason = "the C interface of the Go archive")]
unsafe extern "C" {
    fn kv_abi() -> u32;
    fn kv_init(gogc: i32, memory_limit: i64);
    fn kv_remember(bytes: i64);
    fn kv_call(input: Input) -> Output;
    fn kv_free(ptr: *mut u8);
}

/// A reply on the C heap, freed when dropped.
struct Reply(Output);

impl Reply {
    fn bytes(&self) -> &[u8] {
        if self.0.ptr.is_null() {
            return &[];
        }
        // SAFETY: Go allocated `len` bytes at `ptr` with malloc and nobody else knows of them.
        #[expect(unsafe_code, reason = "reading what Go returned")]
        unsafe {
            std::slice::from_raw_parts(self.0.ptr, self.0.len)
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: `ptr` came from `kv_call` and is freed only here; free of null does nothing.
        #[expect(unsafe_code, reason = "freeing what Go returned")]
        unsafe {
            kv_free(self.0.ptr);
        }
    }
}

/// Evaluates one request of the frame protocol: JSON in, JSON out. Any input gets a reply; a fault of
/// the caller is a `badRequest`.
///
/// Calls of several threads are served one after the other. A call cannot be interrupted: whoever cannot
/// trust the template runs it in a worker process (`caravel-engines`).
pub fn call(request: &[u8]) -> Vec<u8> {
    READY.call_once(initialise);
    let input = Input {
        ptr: request.as_ptr(),
        len: request.len(),
    };
    // SAFETY: the input is borrowed for the call only, Go copies it before use; `Reply` owns the output.
    #[expect(unsafe_code, reason = "one crossing into Go")]
    let reply = Reply(unsafe { kv_call(input) });
    if reply.bytes().is_empty() {
        return br#"{"id":0,"status":"panic","body":{"message":"no memory for the reply"}}"#
            .to_vec();
    }
    reply.bytes().to_vec()
}

/// Bounds how many bytes of templates are remembered as syntax trees, and forgets those that are. With
/// zero every request reads its templates anew. Replies are the same, byte for byte; only the time differs.
pub fn remember_templates(bytes: usize) {
    READY.call_once(initialise);
    // SAFETY: a plain function without pointers.
    #[expect(unsafe_code, reason = "one crossing into Go")]
    unsafe {
        kv_remember(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// Set once the Go runtime is set up.
static READY: Once = Once::new();

fn initialise() {
    // SAFETY: plain functions without pointers.
    #[expect(unsafe_code, reason = "setting up the Go runtime")]
    let found = unsafe {
        kv_init(GOGC, MEMORY_LIMIT);
        kv_abi()
    };
    assert_eq!(
        found >> 16,
        ABI >> 16,
        "the Go archive speaks another interface"
    );
}
