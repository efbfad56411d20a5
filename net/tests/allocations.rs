//! Reading and writing allocate nothing.
#![allow(unsafe_code, reason = "a global allocator is made of unsafe functions")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;

use common::{is_pending, pair, run};
use gannet_net::Conn;

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to `System` as it came, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often one round trip of `round` allocates, over a thousand of them after some to warm up.
async fn allocations(round: impl AsyncFn()) -> usize {
    for _ in 0..10 {
        round().await;
    }
    let before = COUNT.get();
    for _ in 0..1000 {
        round().await;
    }
    COUNT.get() - before
}

#[test]
fn reads_and_writes_allocate_nothing() {
    run(async {
        for network in ["tcp", "unix"] {
            let (client, server): (Conn, Conn) = pair(network).await;
            let at_once = allocations(async || {
                client.write_all(&[7; 128]).await.unwrap();
                server.read_exact(&mut [0; 128]).await.unwrap();
            });
            assert_eq!(at_once.await, 0, "{network}");
            let blocked = allocations(async || {
                let mut buf = [0; 128];
                let mut read = pin!(server.read(&mut buf));
                assert!(is_pending(read.as_mut()).await);
                client.write_all(&[7; 128]).await.unwrap();
                assert_eq!(read.await.unwrap(), 128);
            });
            assert_eq!(blocked.await, 0, "{network}, when the read has to wait");
            let counted = COUNT.get();
            drop(Box::new(counted));
            assert_ne!(COUNT.get(), counted, "the allocator counts");
        }
    });
}
