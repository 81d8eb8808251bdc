// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs small scenes of a few threads on the library's own sources, in every order of their steps,
//! and with every value that a relaxed read may return. loom does the ordering: std/ and
//! parking_lot/ make the library's atomics and locks of loom's.
//!
//! ```text
//! cargo run                 # all models, each in a process of its own; the last line counts
//! cargo run -- NAME         # one
//! ```

// The library's sources say `std`, and get this.
extern crate modelled_std as std;

include!(concat!(env!("OUT_DIR"), "/library.rs"));

mod filter_scenes;
mod memory;
mod node;
mod scenes;

use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

/// Counts in the real world: it must not be a step of a model.
static ORDERS: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// Runs one model in this process. Whatever is wrong ends the process.
fn run(scene: &scenes::Scene) {
    let mut builder = loom::model::Builder::new();
    // However often threads are interrupted.
    builder.preemption_bound = None;
    builder.max_branches = 100_000;
    let play = scene.play;
    builder.check(move || {
        ORDERS.fetch_add(1, Ordering::Relaxed);
        play();
    });
    println!("{} orders", ORDERS.load(Ordering::Relaxed));
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [name] = &wanted[..] {
        let Some(scene) = scenes::ALL.iter().find(|scene| scene.name == name) else {
            eprintln!("no model {name}");
            return ExitCode::from(2);
        };
        run(scene);
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    for scene in scenes::ALL {
        let program = std::env::current_exe().expect("this program has a name");
        let done =
            Command::new(program).arg(scene.name).output().expect("this program can be started");
        if done.status.success() {
            passed += 1;
            print!("pass  {}: {}", scene.name, String::from_utf8_lossy(&done.stdout));
        } else {
            failed += 1;
            println!(
                "FAIL  {}: {}\n{}",
                scene.name,
                done.status,
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
    println!("models: {passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
