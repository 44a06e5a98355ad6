//! How the demo looks: headings, checks and numbers, in colour on a terminal only.

#![expect(clippy::print_stdout, reason = "a demo prints")]

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal};

fn coloured(code: &str, text: impl Display) -> String {
    let colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
}

pub fn heading(text: &str) {
    println!("\n{}", coloured("1", text));
}

pub fn command(text: &str) {
    println!("{}\n", coloured("2", format!("$ {text}")));
}

pub fn line(text: &str) {
    println!("{text}");
}

pub fn passed(text: &str) {
    println!("{} {text}", coloured("32", "ok"));
}

pub fn picture(text: &str) {
    println!("    {}", coloured("36", text));
}

/// `26115` as `26,115`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
