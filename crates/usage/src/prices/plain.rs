//! One name for a model, whoever sells it: without path, region, vendor, date, version and marks, in small letters.
//!
//! ```text
//! anthropic/claude-opus-4-5            claude-opus-4-5
//! us.anthropic.claude-opus-4-5-20251101-v1:0
//! claude-opus-4-5@20251101             as above
//! claude-sonnet-4-5-20250929[1m]       claude-sonnet-4-5
//! gpt-5-2025-08-07, gpt-5-latest       gpt-5
//! ```
//!
//! The function `tailwater_model` of the database does the same.

const VENDORS: [&str; 3] = ["anthropic.", "openai.", "google."];

/// The plain name.
#[must_use]
pub fn plain(model: &str) -> String {
    let name = model.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = without_mark(name);
    let name = without_version(name);
    let name = without_vendor(name).replace('@', "-");
    without_date(&name).to_owned()
}

/// Without `[1m]` at its end.
fn without_mark(name: &str) -> &str {
    let Some(inner) = name.strip_suffix(']') else { return name };
    match inner.rfind('[') {
        Some(at) if !inner.get(at..).unwrap_or_default().contains(']') => inner.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// Without `-v1` or `-v1:0` at its end.
fn without_version(name: &str) -> &str {
    let Some((before, version)) = name.rsplit_once("-v") else { return name };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = match version.split_once(':') {
        None => is_number(version),
        Some((major, minor)) => is_number(major) && is_number(minor),
    };
    if is_version { before } else { name }
}

/// Without `anthropic.` or `us.anthropic.` at its beginning.
fn without_vendor(name: &str) -> &str {
    let bare =
        |name: &'_ str| VENDORS.iter().find(|vendor| name.starts_with(**vendor)).map(|vendor| vendor.len());
    if let Some(length) = bare(name) {
        return name.get(length..).unwrap_or(name);
    }
    let Some((region, rest)) = name.split_once('.') else { return name };
    let is_region =
        !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match bare(rest).filter(|_| is_region) {
        Some(length) => rest.get(length..).unwrap_or(name),
        None => name,
    }
}

/// Without a date or `latest` at its end.
fn without_date(name: &str) -> &str {
    if let Some(before) = name.strip_suffix("-latest") {
        return before;
    }
    for length in [8, 10] {
        let Some(at) = name.len().checked_sub(length + 1) else { continue };
        let (Some(before), Some(end)) = (name.get(..at), name.get(at..)) else { continue };
        if is_date(end, length) {
            return before;
        }
    }
    name
}

/// Whether this is a dash and a date of so many bytes: `-20250929` or `-2025-08-07`.
fn is_date(text: &str, length: usize) -> bool {
    let is_at = |(index, byte): (usize, u8)| match (index, length) {
        (0, _) | (5 | 8, 10) => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.bytes().enumerate().all(is_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_plain() {
        for (model, name) in [
            ("claude-opus-4-5", "claude-opus-4-5"),
            ("anthropic/Claude-Opus-4-5", "claude-opus-4-5"),
            ("openrouter/anthropic/claude-opus-4-5", "claude-opus-4-5"),
            ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
            ("anthropic.claude-3-haiku-20240307-v1", "claude-3-haiku"),
            ("claude-opus-4-5@20251101", "claude-opus-4-5"),
            ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5"),
            ("gpt-5-2025-08-07", "gpt-5"),
            ("gpt-5-latest", "gpt-5"),
            ("gpt-5-v", "gpt-5-v"),
            ("o3-v2:x", "o3-v2:x"),
            ("a.b.c", "a.b.c"),
            ("gemini-2.5-pro", "gemini-2.5-pro"),
            ("a]b[c]", "a]b"),
            ("[]", ""),
            ("世界-20250101", "世界"),
            ("", ""),
        ] {
            assert_eq!(plain(model), name, "{model}");
        }
    }
}
