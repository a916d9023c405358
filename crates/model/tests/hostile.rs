//! Files that were cut, scribbled over or made up: an error, never a panic, and never more memory
//! than the file could ask for.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(unsafe_code, reason = "an allocator that keeps account can be had no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;
use retcon_model::{Checkpoint, checkpoint};

/// The system's allocator, with the largest request since it was last asked.
struct Accountant;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all requests are passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Accountant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from the system.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ACCOUNTANT: Accountant = Accountant;

/// What a valid file becomes.
#[derive(Clone, Debug)]
struct Damage {
    /// Numbers written over it, as so many bytes.
    scribbles: Vec<(Index, u64, usize)>,
    cut: Option<Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 40), Just(i64::MAX as u64)];
    let width = prop::sample::select(vec![1usize, 4, 8]);
    let scribbles = prop::collection::vec((any::<Index>(), number, width), 0..4);
    (scribbles, prop::option::weighted(0.2, any::<Index>()))
        .prop_map(|(scribbles, cut)| Damage { scribbles, cut })
}

impl Damage {
    /// The file at `path` with this damage done in its first `head` bytes.
    fn of(&self, path: &Path, head: usize) -> Vec<u8> {
        let mut bytes = fs::read(path).unwrap();
        for (at, number, width) in &self.scribbles {
            let at = at.index(head);
            bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..*width]);
        }
        bytes.truncate(self.cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        bytes
    }
}

/// Opens `bytes` as the file `name`, and accounts for the memory.
fn survives<T>(name: &str, bytes: &[u8], open: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    LARGEST.store(0, Ordering::Relaxed);
    let opened = open(&path);
    // The largest tables hold strings of 24 bytes with a value, per at least 13 bytes of file, and
    // grow by doubling; the rest is for what parsers and the system's file names ask for anyway.
    let (largest, most) = (LARGEST.load(Ordering::Relaxed), 8 * bytes.len() + (1 << 16));
    assert!(largest <= most, "{largest} bytes at once for a file of {}", bytes.len());
    opened
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn damaged_files_are_errors_or_models() {
    // One test, as the account is one for all threads.
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&damage(), |damage| {
            for head in [100, 1000, 20_000] {
                let gguf = damage.of(&fixture("llama-gguf/model.gguf"), head);
                let opened = survives("m.gguf", &gguf, Checkpoint::open);
                if let Ok(Ok(tokenizer)) = opened.map(|checkpoint| checkpoint.tokenizer()) {
                    let _ = tokenizer.encode("some words, 123 <s> é");
                }
            }
            let bert = fixture("bert/model.safetensors");
            for head in [16, 1000] {
                let bert = damage.of(&bert, head);
                let _ = survives("m.safetensors", &bert, checkpoint::safetensors::open);
            }
            Ok(())
        })
        .unwrap();
}
