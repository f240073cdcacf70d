//! The files that a command wrote.

/// One path per line, and what to do with them.
pub fn written_files(folder: &str, files: &[&str], next: &str) -> String {
    let folder = folder.trim_end_matches('/');
    let lines: String = files.iter().map(|file| format!("{folder}/{file}\n")).collect();
    format!("{lines}{next}\n")
}
