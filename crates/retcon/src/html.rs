//! Text inside of HTML.

/// `text` with what HTML reads as markup written out; fit for attributes in double quotes too.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(escape(r#"<a href="x">&amp;"#), "&lt;a href=&quot;x&quot;&gt;&amp;amp;");
    }
}
