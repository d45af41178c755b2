// A host in Rust, without a crate: rustc host.rs -L FOLDER_OF_THE_LIBRARY
use std::ffi::{c_char, c_double, c_int, c_void, CStr};

#[repr(C)]
struct Slot {
    label: *const c_char,
    start: i32,
    end: i32,
    first: i32,
    last: i32,
}

#[repr(C)]
struct Answer {
    size: u32,
    intent: i32,
    words: i32,
    truncated: i32,
    slot_count: i32,
    read: i32,
    score: c_double,
    intent_name: *const c_char,
    slots: *const Slot,
    intent_logits: *const f32,
    tag_logits: *const f32,
    spans: *const i32,
    in_scope: c_double,
    calibrated: i32,
    rejected: i32,
    slot_scores: *const c_double,
}

#[link(name = "mtop_en", kind = "static")]
extern "C" {
    fn mtop_en_open(opened: *mut *mut c_void) -> c_int;
    fn mtop_en_set_min_score(parser: *mut c_void, min_score: c_double) -> c_int;
    fn mtop_en_parse(parser: *mut c_void, text: *const u8, size: usize, flags: u32, answer: *mut Answer) -> c_int;
    fn mtop_en_message(status: c_int) -> *const c_char;
    fn mtop_en_close(parser: *mut c_void);
}

fn read(name: *const c_char) -> String {
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

fn main() {
    let text = std::env::args().nth(1).expect("usage: host TEXT [LEAST_SCORE | recommended]");
    unsafe {
        let mut parser = std::ptr::null_mut();
        let mut answer: Answer = std::mem::zeroed();
        answer.size = std::mem::size_of::<Answer>() as u32;
        let mut status = mtop_en_open(&mut parser);
        if let (0, Some(least)) = (status, std::env::args().nth(2)) {
            status = mtop_en_set_min_score(parser, if least == "recommended" { -1.0 } else { least.parse().expect("a number") });
        }
        if status == 0 {
            status = mtop_en_parse(parser, text.as_ptr(), text.len(), 0, &mut answer);
        }
        if status != 0 {
            eprintln!("{}", read(mtop_en_message(status)));
            std::process::exit(1);
        }
        let outcome = if answer.rejected != 0 { " (rejected)" } else { "" };
        println!("{} {:.2}{}", read(answer.intent_name), answer.score, outcome);
        if answer.slot_count > 0 {
            for slot in std::slice::from_raw_parts(answer.slots, answer.slot_count as usize) {
                println!("  {}: {}", read(slot.label), &text[slot.start as usize..slot.end as usize]);
            }
        }
        mtop_en_close(parser);
    }
}
