// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs `examples/incremental_backup.rs`: a chain of backups over several runs, what goes wrong,
//! and what must not get lost then.

#[path = "../examples/incremental_backup.rs"]
#[allow(dead_code)] // Its main().
mod incremental_backup;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const SIZE: usize = 5 * 65536 + 1000;

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    /// With an image whose bytes differ from block to block.
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("qemu-dirty-bitmap-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let folder = Self(folder);
        folder.write("disk", &(0..SIZE).map(|i| (i / 7) as u8).collect::<Vec<_>>());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs a command. Words that begin with `@` are files of this folder.
    fn try_run(&self, command: &str) -> Result<String, String> {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).into_os_string(),
            None => OsString::from(word),
        };
        let arguments: Vec<_> = command.split(' ').map(word).collect();
        let mut out = Vec::new();
        let result = incremental_backup::run(&arguments, &mut out);
        result.map(|()| String::from_utf8(out).unwrap()).map_err(|failure| failure.to_string())
    }

    #[track_caller]
    fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap()
    }

    /// Runs a command that must fail; the message without the folder.
    #[track_caller]
    fn fails(&self, command: &str) -> String {
        let folder = format!("{}/", self.0.display());
        self.try_run(command).unwrap_err().replace(&folder, "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_chain_of_backups_restores_bit_for_bit() {
    let folder = Folder::new();
    assert_eq!(
        folder.run("full @disk @full"),
        format!("{SIZE} bytes copied; writes are tracked from here on\n")
    );
    assert_eq!(folder.read("full"), folder.read("disk"));

    // Each line is a run of its own: the bitmap comes from the file each time.
    assert_eq!(
        folder.run("write @disk 10 first 65530 across-the-border"),
        "written; 131072 bytes are dirty\n"
    );
    assert_eq!(
        folder.run("write @disk 327690 in-the-short-last-unit"),
        "written; 132072 bytes are dirty\n"
    );
    let status = folder.run("status @disk");
    assert_eq!(status.lines().next(), Some("132072 of 328680 bytes are dirty, in units of 65536"));
    assert_eq!(
        status.lines().skip(1).map(str::trim).collect::<Vec<_>>(),
        ["0 .. 131072", "327680 .. 328680"]
    );

    assert_eq!(folder.run("incremental @disk @one"), "132072 bytes copied\n");
    let at_one = folder.read("disk");
    assert_eq!(folder.run("status @disk"), "0 of 328680 bytes are dirty, in units of 65536\n");
    folder.run("write @disk 131072 second");
    assert_eq!(folder.run("incremental @disk @two"), "65536 bytes copied\n");

    folder.run("restore @restored1 @full @one");
    assert_eq!(folder.read("restored1"), at_one);
    folder.run("restore @restored2 @full @one @two");
    assert_eq!(folder.read("restored2"), folder.read("disk"));
    assert_eq!(folder.run("verify @disk @restored2"), format!("identical, {SIZE} bytes\n"));
    assert_eq!(
        folder.fails("verify @disk @restored1"),
        "restored1: differs from disk at byte 131072"
    );
    assert!(
        !folder.names().iter().any(|name| name.ends_with(".unfinished")),
        "{:?}",
        folder.names()
    );
}

#[test]
fn increments_follow_each_other() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.run("write @disk 0 a");
    folder.run("incremental @disk @one");
    folder.run("write @disk 70000 b");
    folder.run("incremental @disk @two");
    for wrong in ["@full @two", "@full @two @one", "@full @one @one", "@disk @one"] {
        let message = folder.fails(&format!("restore @new {wrong}"));
        assert!(message.ends_with("it does not follow the backup before it"), "{wrong}: {message}");
        assert!(
            !folder.names().iter().any(|name| name.starts_with("new")),
            "nothing is left of it"
        );
    }
}

#[test]
fn a_damaged_bitmap_file_is_noticed_wherever_it_is_damaged() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.run("write @disk 0 a");
    let good = folder.read("disk.bitmap");
    let image = folder.read("disk");
    let damaged = |bytes: &[u8]| {
        folder.write("disk.bitmap", bytes);
        for command in ["status @disk", "write @disk 0 b", "incremental @disk @one"] {
            let message = folder.fails(command);
            assert!(message.starts_with("disk.bitmap: "), "{message}");
            assert!(message.ends_with("; a new full backup is needed"), "{message}");
        }
        assert_eq!(folder.read("disk"), image);
        assert_eq!(folder.read("disk.bitmap"), bytes);
    };
    for byte in 0..good.len() {
        let mut bytes = good.clone();
        bytes[byte] ^= 0x10;
        damaged(&bytes);
        damaged(&good[..byte]);
    }
    damaged(&[&good[..], &[0]].concat());

    // Not by chance but on purpose: the checksum of the file is right.
    use sha2::{Digest, Sha256};
    let forged = |content: &[u8]| [content, &Sha256::digest(content)].concat();
    let content = &good[..good.len() - 32];
    damaged(&forged(&[]));
    damaged(&forged(&content[..20]));
    damaged(&forged(&content[..content.len() - 1]));
    damaged(&forged(&[content, &[0; 8]].concat()));
    for byte in 0..content.len() - 32 {
        let mut content = content.to_vec();
        content[byte] ^= 0x10;
        damaged(&forged(&content));
    }

    folder.run("full @disk @full2");
    folder.run("status @disk");
}

#[test]
fn a_damaged_increment_is_noticed_wherever_it_is_damaged() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.run("write @disk 327690 a");
    folder.run("incremental @disk @one");
    let good = folder.read("one");
    let damaged = |bytes: &[u8]| {
        folder.write("one", bytes);
        assert!(folder.fails("restore @new @full @one").starts_with("one: "));
        assert!(
            !folder.names().iter().any(|name| name.starts_with("new")),
            "nothing is left of it"
        );
    };
    for byte in 0..good.len() {
        // Header and checksum closely, the data here and there.
        let step = if (72..good.len() - 32).contains(&byte) { 397 } else { 5 };
        if byte % step == 0 {
            let mut bytes = good.clone();
            bytes[byte] ^= 0x80;
            damaged(&bytes);
            damaged(&good[..byte]);
        }
    }
    damaged(&[&good[..], &[0]].concat());
    folder.write("one", &good);
    folder.run("restore @new @full @one");
    assert_eq!(folder.read("new"), folder.read("disk"));
}

#[test]
fn nothing_is_written_before_it_is_recorded() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    let (image, bitmap) = (folder.read("disk"), folder.read("disk.bitmap"));
    // The bitmap can't be stored: a folder is where its new file would be.
    fs::create_dir(folder.path("disk.bitmap.unfinished")).unwrap();
    assert!(folder.fails("write @disk 0 a").starts_with("disk.bitmap.unfinished: "));
    assert_eq!((folder.read("disk"), folder.read("disk.bitmap")), (image.clone(), bitmap));
    fs::remove_dir(folder.path("disk.bitmap.unfinished")).unwrap();
    folder.run("write @disk 0 a");
    assert_ne!(folder.read("disk"), image);
    assert_eq!(folder.names(), ["disk", "disk.bitmap", "full"]);

    // One bad write of several: none is made.
    let image = folder.read("disk");
    let message = folder.fails("write @disk 1 b 328680 c");
    assert_eq!(message, "328680..328681 is not a range within 0..328680");
    assert_eq!(
        folder.fails("write @disk 18446744073709551615 c").split(' ').next(),
        Some("18446744073709551615..18446744073709551615")
    );
    assert_eq!(folder.read("disk"), image);
}

#[test]
fn a_backup_that_failed_costs_nothing() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.run("write @disk 0 a");
    let bitmap = folder.read("disk.bitmap");
    fs::create_dir(folder.path("one.unfinished")).unwrap();
    folder.fails("incremental @disk @one");
    assert_eq!(folder.read("disk.bitmap"), bitmap);
    assert_eq!(folder.run("incremental @disk @two"), "65536 bytes copied\n");
}

#[test]
fn files_are_not_written_over() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.run("write @disk 0 a");
    for command in [
        "full @disk @disk",
        "full @disk @full",
        "incremental @disk @disk",
        "incremental @disk @full",
        "restore @disk @full",
    ] {
        assert!(folder.fails(command).ends_with(": exists already"), "{command}");
    }
    fs::remove_file(folder.path("disk.bitmap")).unwrap();
    assert_eq!(
        folder.fails("full @disk @disk.bitmap"),
        "disk.bitmap: names that end in .bitmap are for this program's own files"
    );
    folder.run("full @disk @full2");
    fs::remove_file(folder.path("disk")).unwrap();
    assert!(
        folder
            .fails("restore @disk @full")
            .starts_with("disk.bitmap: is the bitmap of another image")
    );
}

/// The files of a folder, with their content.
fn content(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    folder.names().into_iter().map(|name| (name.clone(), folder.read(&name))).collect()
}

#[test]
fn no_file_of_the_user_is_taken_for_a_temporary_one() {
    let folder = Folder::new();
    let refuses = |command: &str, message: &str| {
        let before = content(&folder);
        let failure = folder.fails(command);
        assert!(failure.starts_with(message), "{command}: {failure}");
        assert!(content(&folder) == before, "{command}: {:?}", folder.names());
    };
    for own in ["other.unfinished", "other.Bitmap", "disk.bitmap.unfinished"] {
        refuses(&format!("full @disk @{own}"), &format!("{own}: names that end in ."));
    }
    // The image, a backup and an increment where a new file would be written.
    fs::rename(folder.path("disk"), folder.path("new.unfinished")).unwrap();
    let message = "new.unfinished: exists already; remove it only if a run that was killed left it";
    refuses("full @new.unfinished @new", message);
    fs::rename(folder.path("new.unfinished"), folder.path("disk")).unwrap();
    folder.run("full @disk @full");
    folder.run("write @disk 0 a");
    folder.run("incremental @disk @one");
    folder.run("write @disk 70000 b");
    refuses("incremental @disk @disk.bitmap.unfinished", "disk.bitmap.unfinished: names that");
    for backup in ["full", "one"] {
        fs::rename(folder.path(backup), folder.path("new.unfinished")).unwrap();
        refuses("incremental @disk @new", message);
        fs::rename(folder.path("new.unfinished"), folder.path(backup)).unwrap();
    }
    fs::copy(folder.path("full"), folder.path("new.unfinished")).unwrap();
    refuses("restore @new @new.unfinished", message);
    fs::copy(folder.path("one"), folder.path("new.unfinished")).unwrap();
    refuses("restore @new @full @new.unfinished", message);
    // Not one that a link names, either.
    fs::remove_file(folder.path("new.unfinished")).unwrap();
    std::os::unix::fs::symlink("disk", folder.path("new.unfinished")).unwrap();
    refuses("full @disk @new", message);
    refuses("restore @new @full", message);
    fs::remove_file(folder.path("new.unfinished")).unwrap();

    // What a crash left may be of a run that goes on.
    folder.write("disk.bitmap.unfinished", b"half a bit");
    let message = "disk.bitmap.unfinished: exists already; remove it only if";
    for command in ["full @disk @new", "write @disk 0 a", "incremental @disk @new"] {
        refuses(command, message);
    }
    fs::remove_file(folder.path("disk.bitmap.unfinished")).unwrap();
    folder.run("incremental @disk @two");
    folder.run("restore @new @full @one @two");
    assert_eq!(folder.read("new"), folder.read("disk"));
}

#[test]
fn a_file_that_is_no_bitmap_is_not_replaced_by_one() {
    let folder = Folder::new();
    folder.write("disk.bitmap", b"of a map, 1 bit a pixel");
    let message = "disk.bitmap: is no bitmap of this program; move it away";
    assert_eq!(folder.fails("full @disk @full"), message);
    assert_eq!(folder.names(), ["disk", "disk.bitmap"]);
    assert_eq!(folder.read("disk.bitmap"), b"of a map, 1 bit a pixel");
}

#[test]
fn nobody_can_read_a_copy_who_could_not_read_the_disk() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    for mode in [0o600, 0o640, 0o400] {
        fs::set_permissions(folder.path("disk"), fs::Permissions::from_mode(mode)).unwrap();
        folder.run("full @disk @full");
        if mode & 0o200 != 0 {
            folder.run("write @disk 0 a");
            folder.run("incremental @disk @one");
            folder.run("restore @new @full @one");
        } else {
            folder.run("restore @new @full");
        }
        for name in ["disk.bitmap", "full", "one", "new"] {
            let Ok(metadata) = folder.path(name).metadata() else { continue };
            // As the umask allows.
            assert_eq!(metadata.permissions().mode() & 0o777 & !mode, 0, "{name}");
            fs::remove_file(folder.path(name)).unwrap();
        }
    }
}

#[test]
fn an_image_that_changed_its_length_is_another_one() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    folder.write("disk", b"short");
    let message = folder.fails("status @disk");
    assert!(
        message.starts_with(
            "disk.bitmap: the stored bitmap is for a disk of 328680 bytes, this one has 5;"
        ),
        "{message}"
    );
}

#[test]
fn an_empty_image() {
    let folder = Folder::new();
    folder.write("empty", b"");
    folder.run("full @empty @full");
    assert_eq!(folder.run("incremental @empty @one"), "0 bytes copied\n");
    folder.run("restore @new @full @one");
    assert_eq!(folder.run("verify @empty @new"), "identical, 0 bytes\n");
}

#[test]
fn commands_that_make_no_sense() {
    let folder = Folder::new();
    folder.run("full @disk @full");
    for command in [
        "",
        "help",
        "full",
        "full @disk",
        "full @disk a b",
        "write @disk",
        "write @disk 1",
        "restore @x",
        "verify @disk",
    ] {
        assert!(folder.fails(command).starts_with("usage: "), "{command}");
    }
    for offset in ["x", "-1", "", "99999999999999999999", "1.5"] {
        assert_eq!(
            folder.fails(&format!("write @disk {offset} a")),
            format!("{offset} is not an offset: a number of bytes is")
        );
    }
    for command in [
        "full @no @b",
        "status @no",
        "incremental @no @b",
        "restore @n @no",
        "verify @no @disk",
        "verify @disk @no",
    ] {
        let message = folder.fails(command);
        assert!(
            message.starts_with("no: ") && message.contains("os error 2"),
            "{command}: {message}"
        );
    }
    assert!(
        folder.fails("incremental @full @b").starts_with("full.bitmap: "),
        "an image that is not tracked"
    );
}
