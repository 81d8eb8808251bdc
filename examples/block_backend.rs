// SPDX-License-Identifier: GPL-2.0-or-later
//! The request loop of a block backend, as vhost-user and ublk have it: each queue has a thread
//! that takes requests and completes them. Incremental backups run beside it.
//!
//! ```text
//! cargo run --release --example block_backend
//! ```
//!
//! Two rules make each backup whole:
//!
//! * A write is recorded after its data is in the image, and before it is completed. Recorded
//!   first, it may get into the bitmap that a backup freezes, and its data into the image after the
//!   backup has read that block. Then no backup has it.
//! * A write that failed is recorded too: part of it may be in the image.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use qemu_dirty_bitmap::{DirtyBitmap, Node};

const IMAGE_SIZE: u64 = 64 << 20;
const GRANULARITY: u64 = 65536;
const QUEUES: usize = 4;
const QUEUE_SIZE: usize = 128;

/// What a guest asks for. Offsets and lengths are in bytes.
#[derive(Clone, Debug)]
pub enum Request {
    /// Data of a range.
    Read(Range<u64>),
    /// New data at an offset.
    Write(u64, Vec<u8>),
    /// A range that the guest does not need any more.
    Discard(Range<u64>),
    /// A range that shall read as zeroes.
    WriteZeroes(Range<u64>),
    /// All that was completed is to be on the disk.
    Flush,
}

/// A request on a queue, and where its completion goes.
struct Submission {
    request: Request,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// The guest's end of a queue.
#[derive(Clone)]
pub struct Queue(SyncSender<Submission>);

impl Queue {
    /// Submits a request and waits for its completion; a read returns the data.
    pub fn call(&self, request: Request) -> io::Result<Vec<u8>> {
        let (done, completion) = sync_channel(1);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(Submission { request, done }).map_err(|error| gone(error.to_string()))?;
        completion.recv().map_err(|error| gone(error.to_string()))?
    }
}

/// An image file and the node that knows what changed in it.
pub struct Backend {
    image: File,
    node: Node,
}

impl Backend {
    /// With a bitmap that records from here on.
    pub fn new(image: File) -> Result<Self, Box<dyn std::error::Error>> {
        let node = Node::new(image.metadata()?.len())?;
        node.create_bitmap("backup", GRANULARITY)?;
        Ok(Self { image, node })
    }

    /// Serves guests on so many queues, until `guests` returns and its queues are gone.
    pub fn serve<R>(&self, queues: usize, guests: impl FnOnce(Vec<Queue>) -> R) -> R {
        thread::scope(|scope| {
            let queue = |_| {
                let (sender, receiver) = sync_channel(QUEUE_SIZE);
                scope.spawn(move || self.request_loop(&receiver));
                Queue(sender)
            };
            guests((0..queues).map(queue).collect())
        })
    }

    fn request_loop(&self, queue: &Receiver<Submission>) {
        for Submission { request, done } in queue {
            // A guest that has gone away wants no completion.
            let _ = done.send(self.perform(request));
        }
    }

    fn perform(&self, request: Request) -> io::Result<Vec<u8>> {
        match request {
            Request::Read(range) => self.read(range),
            Request::Write(offset, data) => self.write(offset, &data),
            // A discarded block may read as zeroes, so it changed as well. A backend of production
            // punches a hole.
            Request::Discard(range) | Request::WriteZeroes(range) => {
                self.check(&range)?;
                self.write(range.start, &vec![0; (range.end - range.start) as usize])
            }
            Request::Flush => self.image.sync_data().map(|()| Vec::new()),
        }
    }

    fn check(&self, range: &Range<u64>) -> io::Result<()> {
        match range.start <= range.end && range.end <= self.node.length() {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.check(&range)?;
        let mut data = vec![0; (range.end - range.start) as usize];
        self.image.read_exact_at(&mut data, range.start)?;
        Ok(data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<Vec<u8>> {
        let range = offset..offset.saturating_add(data.len() as u64);
        self.check(&range)?;
        let written = self.image.write_all_at(data, offset);
        self.node.record_write(range).map_err(io::Error::other)?;
        written.map(|()| Vec::new())
    }

    /// The bitmap of the backups.
    pub fn bitmap(&self) -> Option<DirtyBitmap> {
        self.node.find("backup")
    }

    /// Brings `target` up to date with what changed since the last backup; how many bytes that
    /// were. It runs beside the request loops. If it fails, the next backup copies the same and
    /// what changed meanwhile.
    pub fn incremental_backup(&self, target: &File) -> io::Result<u64> {
        let bitmap = self.bitmap().ok_or(io::ErrorKind::NotFound)?;
        // From here on writes are recorded in a successor. Dropping `frozen` gives it back.
        let frozen = bitmap.freeze().map_err(io::Error::other)?;
        let mut copied = 0;
        let mut data = vec![0; GRANULARITY as usize];
        for area in frozen.bitmap().areas(0..self.node.length()) {
            for start in area.clone().step_by(GRANULARITY as usize) {
                let part = &mut data[..(area.end - start).min(GRANULARITY) as usize];
                self.image.read_exact_at(part, start)?;
                target.write_all_at(part, start)?;
                copied += part.len() as u64;
            }
        }
        target.sync_data()?;
        // The backup is on the disk. Only now the bitmap forgets what is in it.
        let _ = frozen.abdicate();
        Ok(copied)
    }
}

/// A guest's requests: mostly writes, some of them unaligned, by a generator with this seed.
pub fn guest(queue: &Queue, requests: usize, size: u64, seed: u64) -> io::Result<()> {
    let mut state = seed;
    let mut below = |limit: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for _ in 0..requests {
        let offset = below(size);
        let length = below(3 * GRANULARITY).min(size - offset);
        let range = offset..offset + length;
        queue.call(match below(8) {
            0 => Request::Discard(range),
            1 => Request::WriteZeroes(range),
            2 => Request::Read(range),
            3 => Request::Flush,
            _ => Request::Write(offset, vec![below(255) as u8 + 1; length as usize]),
        })?;
    }
    Ok(())
}

/// Runs guests and backups beside each other, then one more backup: how many backups there were,
/// and the bytes that they copied.
pub fn run(backend: &Backend, target: &File, requests: usize) -> io::Result<(usize, u64)> {
    let size = backend.node.length();
    let (mut backups, mut copied) = (0, 0);
    backend.serve(QUEUES, |queues| {
        thread::scope(|scope| {
            let guests: Vec<_> = queues
                .iter()
                .zip(1..)
                .map(|(queue, seed)| scope.spawn(move || guest(queue, requests, size, seed)))
                .collect();
            while guests.iter().any(|guest| !guest.is_finished()) {
                copied += backend.incremental_backup(target)?;
                backups += 1;
            }
            guests.into_iter().try_for_each(|guest| guest.join().expect("a guest does not panic"))
        })
    })?;
    copied += backend.incremental_backup(target)?;
    Ok((backups + 1, copied))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir();
    let [image, target] = ["image", "target"].map(|name| {
        let path = folder.join(format!("block_backend-{}.{name}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        // Nobody else needs their names.
        std::fs::remove_file(path)?;
        file.set_len(IMAGE_SIZE)?;
        Ok::<_, io::Error>(file)
    });
    let (backend, target) = (Backend::new(image?)?, target?);
    let (backups, copied) = run(&backend, &target, 2000)?;
    println!("{QUEUES} queues, {backups} incremental backups, {copied} bytes copied");
    verify(&backend, &target)?;
    println!("the copy is equal to the image");
    Ok(())
}

/// Whether the copy has all that the image has.
pub fn verify(backend: &Backend, target: &File) -> io::Result<()> {
    let (mut image, mut copy) = ([0; GRANULARITY as usize], [0; GRANULARITY as usize]);
    let length = backend.node.length();
    for start in (0..length).step_by(image.len()) {
        let part = (length - start).min(GRANULARITY) as usize;
        backend.image.read_exact_at(&mut image[..part], start)?;
        target.read_exact_at(&mut copy[..part], start)?;
        if image != copy {
            return Err(io::Error::other(format!("the copy differs in the block at {start}")));
        }
    }
    Ok(())
}
