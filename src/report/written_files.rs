//! The files that a command wrote.

/// One path per line, and what to do with them.
pub fn written_files(folder: &str, files: &[impl AsRef<str>], next: &str) -> String {
    let folder = folder.trim_end_matches('/');
    let lines: String = files.iter().map(|file| format!("{folder}/{}\n", file.as_ref())).collect();
    format!("{lines}{next}\n")
}
