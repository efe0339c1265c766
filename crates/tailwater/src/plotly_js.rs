//! plotly.js, which draws charts in browsers, as the crate `plotly` carries it.

use plotly::Plot;

/// The script, without the tags around it. It has some 4.6 MB, and is copied out of the binary each time.
#[must_use]
pub(crate) fn plotly_js() -> String {
    let sources = Plot::offline_js_sources();
    // NOTE: behind plotly.js comes MathJax, which none of our charts needs.
    let script = sources.split("</script>").next().unwrap_or_default();
    script.split_once('>').map_or_else(String::new, |(_, script)| script.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_plotly_and_nothing_else() {
        let script = plotly_js();
        assert!(script.contains("plotly.js v3."), "{script:.200}");
        assert!(!script.contains("<script") && !script.contains("MathJax.js"));
        assert!((3_000_000..6_000_000).contains(&script.len()), "{}", script.len());
    }
}
