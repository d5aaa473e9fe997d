//! The compressed form of inventories and revisions (CRD-033): JSON, compressed, in base64.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::common::Compression;

/// More than this is not unpacked: an object of the API server is at most a few MiB.
const MAX_UNPACKED: u64 = 256 << 20;

/// How content is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// RFC 1952.
    Gzip,
    /// RFC 8878. What KubeVela's chart selects.
    Zstd,
}

/// Why content could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// The data is not base64.
    #[error("the compressed content is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The data cannot be compressed or decompressed.
    #[error("the content cannot be (de)compressed as {algorithm:?}: {source}")]
    Codec {
        /// The algorithm that the object names.
        algorithm: Algorithm,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The data unpacks to more than is allowed.
    #[error("the compressed content unpacks to more than {} MiB", MAX_UNPACKED >> 20)]
    TooLarge,
    /// The unpacked data is not the JSON that is expected.
    #[error("the compressed content is not what is expected: {0}")]
    Json(#[from] serde_json::Error),
}

/// Compresses a value.
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn pack<T: Serialize>(
    value: &T,
    algorithm: Algorithm,
) -> Result<Compression, CompressionError> {
    let json = serde_json::to_vec(value)?;
    let packed = match algorithm {
        Algorithm::Zstd => zstd::bulk::compress(&json, zstd::DEFAULT_COMPRESSION_LEVEL),
        Algorithm::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&json).and_then(|()| encoder.finish())
        }
    };
    let packed = packed.map_err(|source| CompressionError::Codec { algorithm, source })?;
    Ok(Compression {
        type_: Some(algorithm),
        data: Some(STANDARD.encode(packed)),
    })
}

/// The value that `compression` holds; none if it holds nothing.
///
/// # Errors
/// If the data is damaged, too large, or not such a value.
pub fn unpack<T: DeserializeOwned>(
    compression: &Compression,
) -> Result<Option<T>, CompressionError> {
    let Some(algorithm) = compression.type_ else {
        return Ok(None);
    };
    let packed = STANDARD.decode(compression.data.as_deref().unwrap_or_default())?;
    let unpacked = match algorithm {
        Algorithm::Zstd => {
            zstd::stream::read::Decoder::new(packed.as_slice()).and_then(read_bounded)
        }
        Algorithm::Gzip => read_bounded(flate2::read::GzDecoder::new(packed.as_slice())),
    };
    let json = unpacked.map_err(|source| CompressionError::Codec { algorithm, source })?;
    if json.len() as u64 > MAX_UNPACKED {
        return Err(CompressionError::TooLarge);
    }
    Ok(Some(serde_json::from_slice(&json)?))
}

/// Reads at most one byte more than is allowed, so that the caller sees that there was more.
fn read_bounded(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_UNPACKED + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
