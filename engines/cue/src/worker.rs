//! The worker: frames on standard input and output.

use std::io::{self, Read, Write};
use std::process::exit;
use std::sync::mpsc;
use std::thread;

use crate::sandbox;

/// Longest frame that is read; the bridge itself refuses requests over 2 MiB with a reply.
const MAX_FRAME: u32 = 4 << 20;

/// Serves requests from standard input until it ends, then ends the process.
///
/// A frame is a length (`u32`, big endian) and so many bytes of JSON. Reading is done by a thread of its
/// own: when the daemon dies, its end of the pipe closes, and the worker ends at once, even in the middle
/// of an evaluation that would never end by itself.
///
/// # Exit status
/// 0 at the end of input, 1 when a frame is malformed or a reply cannot be written.
pub fn worker_main() -> ! {
    sandbox::enter();
    let (send, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            match read_frame(&mut input) {
                Ok(Some(frame)) => {
                    if send.send(frame).is_err() {
                        exit(1);
                    }
                }
                Ok(None) => exit(0),
                Err(_) => exit(1),
            }
        }
    });
    let mut output = io::stdout().lock();
    for request in requests {
        if write_frame(&mut output, &crate::call(&request)).is_err() {
            exit(1);
        }
    }
    exit(0)
}

/// Reads one frame; `None` where the input ends between two frames.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let first = input.read(&mut length)?;
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[first..])?;
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the frame is too long",
        ));
    }
    let mut frame = vec![0; length as usize];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the reply is too long"))?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(frame)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::{read_frame, write_frame};

    #[test]
    fn frames_survive_the_pipe() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, b"one").unwrap();
        write_frame(&mut pipe, b"").unwrap();
        let mut pipe = pipe.as_slice();
        assert_eq!(
            read_frame(&mut pipe).unwrap().as_deref(),
            Some(b"one".as_slice())
        );
        assert_eq!(
            read_frame(&mut pipe).unwrap().as_deref(),
            Some(b"".as_slice())
        );
        assert_eq!(read_frame(&mut pipe).unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_cut_off_or_too_long_is_refused() {
        assert!(read_frame(&mut [0, 0].as_slice()).is_err());
        assert!(read_frame(&mut [0, 0, 0, 9, 1].as_slice()).is_err());
        assert!(read_frame(&mut [255, 0, 0, 0].as_slice()).is_err());
    }
}
