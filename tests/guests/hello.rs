// SPDX-License-Identifier: MIT
//
// The plainest program of Rust's standard library: arguments, environment,
// floats, a hash map (which asks for random bytes), a caught panic.
use std::collections::HashMap;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    for (i, argument) in arguments.iter().enumerate() {
        println!("argument {i}: {argument}");
    }
    println!("environment: {}", std::env::vars_os().count());
    println!("one seventh of two: {}", 2.0 / 7.0);

    let squares: HashMap<u64, u64> = (0..1000).map(|n| (n, n * n)).collect();
    println!("squares: {} of {}", squares.values().sum::<u64>(), squares.len());

    std::panic::set_hook(Box::new(|_| {}));
    let index = arguments.len() + 10;
    println!("caught: {}", std::panic::catch_unwind(|| [1, 2, 3][index]).is_err());

    std::process::exit(i32::try_from(arguments.len()).unwrap_or(1) - 1);
}
