// SPDX-License-Identifier: GPL-2.0-or-later
//! Modules use what lies below them: there is no circle, in the library and in what tests it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which top-level modules a module names, in paths that begin with `crate::`.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(sources(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
    found
}

/// The top-level module that a file belongs to.
fn module(folder: &Path, file: &Path) -> String {
    let first = file.strip_prefix(folder).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string()
}

/// The first names of paths in a file, comments aside.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

fn graph(folder: &Path) -> Graph {
    let files = sources(folder);
    let modules: BTreeSet<_> = files.iter().map(|file| module(folder, file)).collect();
    let mut graph = Graph::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        // A list of modules would hide their names from this test.
        assert!(!text.contains("crate::{"), "{}: a path for each module", file.display());
        let from = module(folder, file);
        let used = names(&text).filter(|name| modules.contains(*name) && *name != from);
        graph.entry(from.clone()).or_default().extend(used.map(str::to_string));
    }
    graph
}

/// What a module reaches, itself only if there is a circle.
fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![from.to_string()];
    while let Some(module) = todo.pop() {
        let new = graph[&module].iter().filter(|next| found.insert((*next).clone()));
        todo.extend(new.cloned().collect::<Vec<_>>());
    }
    found
}

fn circles(graph: &Graph) -> Vec<&String> {
    graph.keys().filter(|module| reached(graph, module).contains(*module)).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn arrows_go_down() {
    // From the top to the bottom; api and ffi do not know each other.
    const LAYERS: [&str; 5] = ["assertion", "hbitmap", "host", "dirty_bitmap", "api ffi"];
    let graph = graph(&root().join("src"));
    let layer = |module: &str| LAYERS.iter().position(|l| l.split(' ').any(|name| name == module));
    for (from, used) in graph.iter().filter(|(from, _)| *from != "lib") {
        for to in used {
            assert!(layer(to).unwrap() < layer(from).unwrap(), "{from} uses {to}");
        }
    }
    assert!(graph["api"].contains("dirty_bitmap") && graph["dirty_bitmap"].contains("hbitmap"));
}

#[test]
fn there_is_no_circle() {
    // A package has the library alone.
    for part in ["src", "fuzz/src", "benches/src", "models/src"] {
        let folder = root().join(part);
        if folder.is_dir() {
            assert_eq!(circles(&graph(&folder)), Vec::<&String>::new(), "{part}");
        }
    }
}

#[test]
fn a_circle_is_found() {
    let uses = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let mut graph = Graph::from([
        ("a".to_string(), uses(&["b"])),
        ("b".to_string(), uses(&["c"])),
        ("c".to_string(), uses(&[])),
    ]);
    assert!(circles(&graph).is_empty());
    graph.insert("c".to_string(), uses(&["a"]));
    assert_eq!(circles(&graph), ["a", "b", "c"]);
    assert_eq!(names("use crate::host::Host;\n// crate::ffi\nlet x = crate::api::y();").count(), 2);
}
