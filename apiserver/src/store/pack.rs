//! Objects that nobody writes take a tenth of their memory: packed with what objects of their resource have in common.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name};

/// How hard is tried. Higher levels gain little, as most of the gain comes from the dictionary.
const LEVEL: i32 = 3;
/// What is smaller is not worth it.
const SMALLEST: usize = 256;
/// The size of a dictionary.
const DICTIONARY: usize = 48 << 10;

/// Text that objects of one resource have in common.
pub(super) struct Dictionary {
    encode: EncoderDictionary<'static>,
    decode: DecoderDictionary<'static>,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dictionary").finish_non_exhaustive()
    }
}

impl Dictionary {
    /// A dictionary of some objects as they are: their texts differ in few places.
    pub(super) fn of(samples: impl Iterator<Item = Bytes>) -> Self {
        let mut text = Vec::with_capacity(DICTIONARY);
        for sample in samples {
            let room = DICTIONARY - text.len();
            text.extend_from_slice(&sample[..room.min(sample.len())]);
            if text.len() == DICTIONARY {
                break;
            }
        }
        Self {
            encode: EncoderDictionary::copy(&text, LEVEL),
            decode: DecoderDictionary::copy(&text),
        }
    }
}

/// A packed text.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    size: usize,
    dictionary: Arc<Dictionary>,
}

thread_local! {
    // Their working memory is large compared with the texts.
    static PACKING: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static UNPACKING: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

impl Packed {
    /// Packs a text; `None` if that does not make it smaller, or it could not be read again.
    pub(super) fn of(text: &Bytes, dictionary: &Arc<Dictionary>) -> Option<Self> {
        if text.len() < SMALLEST {
            return None;
        }
        let mut bytes = Vec::with_capacity(compress_bound(text.len()));
        PACKING
            .with_borrow_mut(|context| {
                context.compress_using_cdict(&mut bytes, text, dictionary.encode.as_cdict())
            })
            .ok()?;
        let packed = Self {
            bytes: bytes.into_boxed_slice(),
            size: text.len(),
            dictionary: Arc::clone(dictionary),
        };
        (packed.bytes.len() < text.len()).then_some(packed)
    }

    /// The bytes that it takes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The length of the text.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The text. Empty if it is damaged, which only a fault of the memory can do.
    pub(super) fn unpack(&self) -> Bytes {
        let mut text = Vec::with_capacity(self.size);
        let read = UNPACKING.with_borrow_mut(|context| {
            context.decompress_using_ddict(
                &mut text,
                &self.bytes,
                self.dictionary.decode.as_ddict(),
            )
        });
        match read {
            Ok(_) => Bytes::from(text),
            Err(code) => {
                let error = get_error_name(code);
                tracing::error!(
                    error,
                    "a packed object cannot be read; restart the daemon, which reads it anew"
                );
                Bytes::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_objects_have_in_common_takes_no_memory() {
        let object = |name: &str| {
            let lines: Vec<String> = (0..40)
                .map(|line| format!("a line of text, number {}", line * line))
                .collect();
            Bytes::from(serde_json::json!({"name": name, "lines": lines}).to_string())
        };
        let dictionary = Arc::new(Dictionary::of(["a", "b"].map(object).into_iter()));
        let text = object("something else");
        let packed = Packed::of(&text, &dictionary).unwrap();
        assert!(
            packed.bytes.len() * 10 < text.len(),
            "{} of {}",
            packed.bytes.len(),
            text.len()
        );
        assert_eq!((packed.unpack(), packed.size()), (text.clone(), text.len()));
        let small = Bytes::from_static(b"{}");
        assert!(Packed::of(&small, &dictionary).is_none());
    }
}
