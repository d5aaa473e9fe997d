//! Sealing of what may hold a secret: AES-256-GCM with a key that lies in the data folder, mode 0600.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::StoreError;

/// Name of the key file in the data folder.
pub const KEY_FILE: &str = "hub.key";

const KEY_BYTES: usize = 32;

/// Seals and opens. What was sealed for one place does not open at another.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// A sealer with this key of 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, StoreError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| StoreError::Seal)?;
        Ok(Self { key })
    }

    /// The key of a data folder; made at the first start. The flag says whether it was made now.
    pub fn of_folder(folder: &Path) -> Result<(Self, bool), StoreError> {
        let path = folder.join(KEY_FILE);
        match read_key(&path)? {
            Some(key) => Ok((Self::new(&key)?, false)),
            None => Ok((Self::new(&make_key(folder, &path)?)?, true)),
        }
    }

    /// Seals for a place: nonce, then ciphertext with its tag.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut content = plain.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut content)
            .map_err(|_| StoreError::Seal)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&content);
        Ok(sealed)
    }

    /// Opens what was sealed for the same place; `None` where it was not, or is damaged.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, content) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = content.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut content)
            .ok()?;
        Some(plain.to_vec())
    }
}

fn file_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File {
        path: path.display().to_string(),
        source,
    }
}

fn read_key(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, error)),
    };
    let wrong = |problem: String| StoreError::Key {
        path: path.display().to_string(),
        problem,
    };
    let mode = file
        .metadata()
        .map_err(|error| file_error(path, error))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(wrong(format!(
            "the key is open to others (mode {mode:o}); run chmod 600 on it"
        )));
    }
    let mut key = Vec::new();
    file.read_to_end(&mut key)
        .map_err(|error| file_error(path, error))?;
    if key.len() != KEY_BYTES {
        return Err(wrong(format!(
            "the key has {} bytes, not {KEY_BYTES}; restore it from a backup",
            key.len()
        )));
    }
    Ok(Some(key))
}

/// Makes a key. It has its name only once it is complete and on the disk.
fn make_key(folder: &Path, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut key = vec![0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| StoreError::Seal)?;
    let new = folder.join(format!("{KEY_FILE}.new"));
    let write = || -> std::io::Result<()> {
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| file_error(path, error))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_at_its_place_and_unharmed() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let sealed = sealer.seal("run/1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(sealer.unseal("run/1", &sealed).unwrap(), b"secret");
        assert_eq!(sealer.unseal("run/2", &sealed), None);
        let mut harmed = sealed.clone();
        *harmed.last_mut().unwrap() ^= 1;
        assert_eq!(sealer.unseal("run/1", &harmed), None);
        assert_eq!(sealer.unseal("run/1", b"short"), None);
        assert_ne!(sealer.seal("run/1", b"secret").unwrap(), sealed);
    }

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let (first, made) = Sealer::of_folder(folder.path()).unwrap();
        assert!(made);
        let path = folder.path().join(KEY_FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let (second, made) = Sealer::of_folder(folder.path()).unwrap();
        assert!(!made);
        let sealed = first.seal("p", b"x").unwrap();
        assert_eq!(second.unseal("p", &sealed).unwrap(), b"x");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Sealer::of_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        let error = Sealer::of_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("5 bytes"), "{error}");
    }
}
