// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables and the pictures in docs/ are those that the saved results give.

use std::fs;
use std::path::Path;

use qemu_dirty_bitmap_bench::report;

#[test]
fn documents_are_what_the_results_give() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&made).expect("a folder for what is made");
    let document = made.join("performance.md");
    fs::copy(root.join("docs/performance.md"), &document).expect("the document is there");
    report::write(&root.join("benches/results"), &document, &made).expect("a report");
    let mut compared = 0;
    for file in fs::read_dir(&made).expect("what was made") {
        let path = file.expect("a file").path();
        let committed = root.join("docs").join(path.file_name().expect("a name"));
        let [made, committed] = [&path, &committed].map(fs::read_to_string);
        assert!(
            made.expect("made now") == committed.expect("in docs/"),
            "{} is not what tools/bench --report makes",
            path.display()
        );
        compared += 1;
    }
    assert_eq!(compared, 6, "the document and five pictures");
}
