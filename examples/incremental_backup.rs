// SPDX-License-Identifier: GPL-2.0-or-later
//! Full and incremental backups of a disk image, with a dirty bitmap that is kept beside it.
//!
//! ```text
//! # A full backup; writes are tracked from here on.
//! cargo run --example incremental_backup -- full disk.img full.img
//! # A guest's write, without a guest.
//! cargo run --example incremental_backup -- write disk.img 4096 hello
//! cargo run --example incremental_backup -- status disk.img
//! # What changed since the last backup.
//! cargo run --example incremental_backup -- incremental disk.img 1.inc
//! cargo run --example incremental_backup -- restore new.img full.img 1.inc
//! cargo run --example incremental_backup -- verify disk.img new.img
//! ```
//!
//! The bitmap lives in `disk.img.bitmap`, in the format of docs/format.md. Four rules keep it true
//! over a crash at any moment:
//!
//! * A write is recorded, and the bitmap stored, before the image is written: a crash in between
//!   costs a block that is copied in vain.
//! * A file is replaced as a whole: the new one is written beside it, synced, and renamed. Its name
//!   until then ends in `.unfinished`, and no file that has it is written over. A crash may leave
//!   one. The next run then names it and ends, and it is to be removed by hand.
//! * The bitmap is cleaned only when the backup is on the disk.
//! * So is then the image: a crash must not take back what the bitmap says that the backup has.
//!
//! Backups form a chain: each increment names the backup that it is for by its SHA-256, so none can
//! be left out or applied twice. One run at a time may work on an image, and nothing else may write
//! to it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qemu_dirty_bitmap::{DirtyBitmap, Error, Node, SaveError};
use sha2::{Digest, Sha256};

const USAGE: &str = "usage: incremental_backup full IMAGE BACKUP
       incremental_backup write IMAGE OFFSET TEXT [OFFSET TEXT]...
       incremental_backup status IMAGE
       incremental_backup incremental IMAGE INCREMENT
       incremental_backup restore IMAGE BACKUP [INCREMENT]...
       incremental_backup verify IMAGE IMAGE";

const GRANULARITY: u64 = 65536;
const INCREMENT_MAGIC: &[u8; 8] = b"QDBINC01";

/// How docs/format.md says that a bitmap begins.
const BITMAP_MAGIC: &[u8; 8] = b"\x89QDB\r\n\x1a\n";

/// Ends the name of an image's bitmap.
const BITMAP: &str = ".bitmap";
/// Ends the name of a file that is being written.
const UNFINISHED: &str = ".unfinished";

/// Names a backup: its SHA-256.
type Id = [u8; 32];

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The library refused.
    #[error(transparent)]
    Bitmap(#[from] Error),
}

impl Failure {
    fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::File { path: path.into(), what: what.into() }
    }
}

/// Makes a failure of an I/O error, with the file's name.
fn on(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    |error| Failure::Io { path: path.into(), error }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match run(&arguments, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("incremental_backup: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; what it has to say goes to `out`.
pub fn run(arguments: &[OsString], out: &mut dyn Write) -> Result<(), Failure> {
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let (command, words) = words.split_first().ok_or_else(|| Failure::Usage(USAGE.into()))?;
    let paths: Vec<&Path> = words.iter().map(Path::new).collect();
    let report = match (command.to_str(), &paths[..]) {
        (Some("full"), [image, backup]) => full(image, backup)?,
        (Some("write"), [image, ..]) if words.len() > 2 && words.len() % 2 == 1 => {
            write(image, &words[1..])?
        }
        (Some("status"), [image]) => status(image)?,
        (Some("incremental"), [image, increment]) => incremental(image, increment)?,
        (Some("restore"), [image, backup, increments @ ..]) => restore(image, backup, increments)?,
        (Some("verify"), [one, other]) => verify(one, other)?,
        _ => return Err(Failure::Usage(USAGE.into())),
    };
    writeln!(out, "{report}").map_err(on(Path::new("standard output")))
}

/// An image whose writes are tracked.
struct Tracked {
    image: File,
    disk: Node,
    bitmap: DirtyBitmap,
    /// The last backup.
    parent: Id,
}

impl Tracked {
    /// An image just after a full backup: nothing is dirty.
    fn begin(image: File, size: u64, parent: Id) -> Result<Self, Failure> {
        let disk = Node::new(size)?;
        let bitmap = disk.create_bitmap("backup", GRANULARITY)?;
        bitmap.set_persistent(true)?;
        Ok(Self { image, disk, bitmap, parent })
    }

    /// An image with the bitmap that lies beside it.
    fn load(path: &Path) -> Result<Self, Failure> {
        let image = OpenOptions::new().read(true).write(true).open(path).map_err(on(path))?;
        let size = image.metadata().map_err(on(path))?.len();
        let bitmap_path = bitmap_path(path);
        let file = File::open(&bitmap_path).map_err(on(&bitmap_path))?;
        let damaged = |what: &str| {
            Failure::file(&bitmap_path, format!("{what}; a new full backup is needed"))
        };

        let mut input = Hashed::new(BufReader::new(file));
        let disk = Node::new(size)?;
        let bitmap = disk.read_bitmap(&mut input).map_err(|error| damaged(&error.to_string()))?;
        let cut = |_: io::Error| damaged("the file is cut");
        let parent = array(&mut input).map_err(cut)?;
        let id = input.id();
        if array(&mut input).map_err(cut)? != id {
            return Err(damaged("the checksum is wrong"));
        }
        if input.read(&mut [0]).map_err(on(&bitmap_path))? != 0 {
            return Err(damaged("there is something after its end"));
        }
        Ok(Self { image, disk, bitmap, parent })
    }

    /// Stores the bitmap, in the library's format, and after it which backup it begins at.
    fn save(&self, new: Unfinished) -> Result<(), Failure> {
        let id = new.write(|file| {
            self.bitmap.write_to(file).map_err(|error| match error {
                SaveError::Io(error) => error,
                refused => io::Error::other(refused),
            })?;
            file.write_all(&self.parent)
        })?;
        new.finish_with_checksum(id)
    }

    /// The bytes of the image that are dirty. A count of whole bits may be more than the image has.
    fn dirty(&self) -> u64 {
        length(self.bitmap.areas(0..self.disk.length()))
    }
}

/// The bytes of areas.
fn length(areas: impl IntoIterator<Item = Range<u64>>) -> u64 {
    areas.into_iter().map(|area| area.end - area.start).sum()
}

fn full(image_path: &Path, backup: &Path) -> Result<String, Failure> {
    let image = File::open(image_path).map_err(on(image_path))?;
    let size = image.metadata().map_err(on(image_path))?.len();
    must_be_new(backup)?;
    must_be_replaceable(&bitmap_path(image_path))?;
    let new_bitmap = Unfinished::create(bitmap_path(image_path), image_path)?;
    let new = Unfinished::create(backup.into(), image_path)?;
    let parent = new.write(|file| copy(&image, file))?;
    new.finish()?;
    image.sync_all().map_err(on(image_path))?;
    Tracked::begin(image, size, parent)?.save(new_bitmap)?;
    Ok(format!("{size} bytes copied; writes are tracked from here on"))
}

fn write(image: &Path, words: &[&OsStr]) -> Result<String, Failure> {
    let new_bitmap = Unfinished::create(bitmap_path(image), image)?;
    let tracked = Tracked::load(image)?;
    let mut writes = Vec::new();
    for pair in words.chunks_exact(2) {
        let offset: u64 = pair[0].to_str().and_then(|word| word.parse().ok()).ok_or_else(|| {
            Failure::Usage(format!(
                "{} is not an offset: a number of bytes is",
                pair[0].to_string_lossy()
            ))
        })?;
        writes.push((offset, pair[1].as_encoded_bytes()));
    }
    // The bits first: all of them, and on the disk, before the first byte of the image changes.
    for (offset, data) in &writes {
        tracked.disk.record_write(*offset..offset.saturating_add(data.len() as u64))?;
    }
    tracked.save(new_bitmap)?;
    for (offset, data) in &writes {
        tracked.image.write_all_at(data, *offset).map_err(on(image))?;
    }
    tracked.image.sync_data().map_err(on(image))?;
    Ok(format!("written; {} bytes are dirty", tracked.dirty()))
}

fn status(image: &Path) -> Result<String, Failure> {
    let tracked = Tracked::load(image)?;
    let Tracked { disk, bitmap, .. } = &tracked;
    let mut report = format!(
        "{} of {} bytes are dirty, in units of {}",
        tracked.dirty(),
        disk.length(),
        bitmap.granularity()
    );
    for area in bitmap.areas(0..disk.length()) {
        report += &format!("\n{:>16} .. {}", area.start, area.end);
    }
    Ok(report)
}

fn incremental(image: &Path, increment: &Path) -> Result<String, Failure> {
    must_be_new(increment)?;
    let new_bitmap = Unfinished::create(bitmap_path(image), image)?;
    let mut tracked = Tracked::load(image)?;
    let new = Unfinished::create(increment.into(), image)?;
    // A program that serves a guest would let it write on: that goes to the successor.
    let frozen = tracked.bitmap.freeze()?;
    let areas: Vec<_> = frozen.bitmap().areas(0..tracked.disk.length()).collect();
    let written = new.write(|file| {
        file.write_all(INCREMENT_MAGIC)?;
        file.write_all(&tracked.disk.length().to_le_bytes())?;
        file.write_all(&tracked.parent)?;
        file.write_all(&(areas.len() as u64).to_le_bytes())?;
        for area in &areas {
            file.write_all(&area.start.to_le_bytes())?;
            file.write_all(&area.end.to_le_bytes())?;
            let mut buffer = [0; GRANULARITY as usize];
            for start in area.clone().step_by(buffer.len()) {
                let part = &mut buffer[..(area.end - start).min(GRANULARITY) as usize];
                tracked.image.read_exact_at(part, start)?;
                file.write_all(part)?;
            }
        }
        Ok(())
    });
    match written.and_then(|id| new.finish_with_checksum(id).map(|()| id)) {
        Ok(id) => {
            // The increment is on the disk. Only now the bitmap forgets what is in it.
            tracked.image.sync_all().map_err(on(image))?;
            tracked.bitmap = frozen.abdicate();
            tracked.parent = id;
            tracked.save(new_bitmap)?;
            Ok(format!("{} bytes copied", length(areas)))
        }
        Err(failure) => {
            // What the successor recorded comes back, so that nothing is lost for the next try.
            frozen.reclaim();
            Err(failure)
        }
    }
}

fn restore(image: &Path, backup: &Path, increments: &[&Path]) -> Result<String, Failure> {
    must_be_new(image)?;
    let bitmap = bitmap_path(image);
    if bitmap.symlink_metadata().is_ok() {
        return Err(Failure::file(
            &bitmap,
            "is the bitmap of another image of this name; move it away",
        ));
    }
    let source = File::open(backup).map_err(on(backup))?;
    let size = source.metadata().map_err(on(backup))?.len();
    // Into a file beside it, which gets the image's name when all went well.
    let new = Unfinished::create(image.into(), backup)?;
    let mut hashed = Hashed::new(&new.file);
    copy(&source, &mut hashed).map_err(on(backup))?;
    let mut id = hashed.id();
    for increment in increments {
        id = apply(increment, &new.file, size, id)?;
    }
    new.finish()?;
    Ok(format!("{size} bytes restored, with {} increments", increments.len()))
}

/// Applies an increment to an image of `size` bytes that is the backup `parent`; returns which
/// backup the image is then.
fn apply(path: &Path, image: &File, size: u64, parent: Id) -> Result<Id, Failure> {
    let file = File::open(path).map_err(on(path))?;
    let mut input = Hashed::new(BufReader::new(file));
    let damaged = |what: &str| Failure::file(path, what);
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the file is cut"),
        _ => on(path)(error),
    };
    if array(&mut input).map_err(cut)? != *INCREMENT_MAGIC {
        return Err(damaged("this is no increment of this program"));
    }
    let its_size = number(&mut input).map_err(cut)?;
    if its_size != size {
        return Err(damaged(&format!(
            "it is for an image of {its_size} bytes, this one has {size}"
        )));
    }
    if array(&mut input).map_err(cut)? != parent {
        return Err(damaged("it does not follow the backup before it"));
    }
    let mut end_before = 0;
    for _ in 0..number(&mut input).map_err(cut)? {
        let (start, end) = (number(&mut input).map_err(cut)?, number(&mut input).map_err(cut)?);
        if start < end_before || end <= start || end > size {
            return Err(damaged("the file is damaged"));
        }
        end_before = end;
        let mut buffer = [0; GRANULARITY as usize];
        for at in (start..end).step_by(buffer.len()) {
            let part = &mut buffer[..(end - at).min(GRANULARITY) as usize];
            input.read_exact(part).map_err(cut)?;
            image.write_all_at(part, at).map_err(on(path))?;
        }
    }
    let id = input.id();
    if array(&mut input).map_err(cut)? != id {
        return Err(damaged("the checksum is wrong"));
    }
    if input.read(&mut [0]).map_err(on(path))? != 0 {
        return Err(damaged("there is something past its end"));
    }
    Ok(id)
}

fn verify(one: &Path, other: &Path) -> Result<String, Failure> {
    let mut files = Vec::new();
    for path in [one, other] {
        files.push(BufReader::new(File::open(path).map_err(on(path))?));
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    loop {
        let (in_a, in_b) = (
            fill(&mut files[0], &mut a).map_err(on(one))?,
            fill(&mut files[1], &mut b).map_err(on(other))?,
        );
        if let Some(at) = a[..in_a].iter().zip(&b[..in_b]).position(|(x, y)| x != y) {
            return Err(Failure::file(
                other,
                format!("differs from {} at byte {}", one.display(), offset + at),
            ));
        }
        if in_a != in_b {
            return Err(Failure::file(other, format!("is not as long as {}", one.display())));
        }
        if in_a == 0 {
            return Ok(format!("identical, {offset} bytes"));
        }
        offset += in_a;
    }
}

/// Where the bitmap of an image is.
fn bitmap_path(image: &Path) -> PathBuf {
    with_suffix(image, BITMAP)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses to write over a file, or where this program's own files are.
fn must_be_new(output: &Path) -> Result<(), Failure> {
    if output.symlink_metadata().is_ok() {
        return Err(Failure::file(output, "exists already"));
    }
    // Some file systems take upper case for lower case.
    let name = output.as_os_str().to_ascii_lowercase();
    for suffix in [BITMAP, UNFINISHED] {
        if name.as_encoded_bytes().ends_with(suffix.as_bytes()) {
            let what = format!("names that end in {suffix} are for this program's own files");
            return Err(Failure::file(output, what));
        }
    }
    Ok(())
}

/// Refuses to replace what no run of this program wrote.
fn must_be_replaceable(bitmap: &Path) -> Result<(), Failure> {
    match File::open(bitmap) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(on(bitmap)(error)),
        Ok(mut file) => match array(&mut file) {
            Ok(start) if start == *BITMAP_MAGIC => Ok(()),
            _ => Err(Failure::file(bitmap, "is no bitmap of this program; move it away")),
        },
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file that has no content yet, beside the path that it is for: there is the old file or
/// the new one, whatever happens. It is removed if it is not finished.
struct Unfinished {
    file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// Begins a file that nobody can read who can't read `source`. One that is there stays as it
    /// is: it may be a file of the user's, or of a run that goes on.
    fn create(target: PathBuf, source: &Path) -> Result<Self, Failure> {
        let mode = fs::metadata(source).map_err(on(source))?.mode() & 0o777;
        let path = with_suffix(&target, UNFINISHED);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(mode).open(&path);
        match file {
            Ok(file) => Ok(Self { file, path, target, finished: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let what = "exists already; remove it only if a run that was killed left it";
                Err(Failure::file(&path, what))
            }
            Err(error) => Err(on(&path)(error)),
        }
    }

    /// Writes the content; returns its SHA-256.
    fn write(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Id, Failure> {
        let mut hashed = Hashed::new(BufWriter::new(&self.file));
        content(&mut hashed).and_then(|()| hashed.flush()).map_err(on(&self.path))?;
        Ok(hashed.id())
    }

    /// Ends the file with its SHA-256.
    fn finish_with_checksum(self, id: Id) -> Result<(), Failure> {
        (&self.file).write_all(&id).map_err(on(&self.path))?;
        self.finish()
    }

    /// Brings the file to the disk, gives it its name, and brings that to the disk too.
    fn finish(mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(on(&self.path))?;
        fs::rename(&self.path, &self.target).map_err(on(&self.target))?;
        self.finished = true;
        let folder = folder(&self.target);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(on(folder))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Hashes what goes through it.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// The hash of what went through so far.
    fn id(&self) -> Id {
        self.hash.clone().finalize().into()
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }
}

/// Copies a whole file.
fn copy(mut from: &File, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    array(from).map(u64::from_le_bytes)
}
