//! Pictures as people paste them into pages and slides: SVG as PNG.

use std::sync::Arc;

use epaint_default_fonts::UBUNTU_LIGHT;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::failed;
use crate::error::Result;

/// Pixels for each unit of the SVG: as screens of today and print want it.
const SCALE: f32 = 2.0;

/// `svg` as a PNG, with letters of the font that comes with this program: the same on every
/// machine.
///
/// # Errors
/// [`crate::Error::NoPicture`].
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = Database::new();
    fonts.load_font_data(UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().map(|face| face.families[0].0.clone()).unwrap_or_default();
    fonts.set_sans_serif_family(family);
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(failed)?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let mut pixels = size
        .and_then(|size| Pixmap::new(size.width(), size.height()))
        .ok_or_else(|| failed("it has no size"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_lines_become_pixels() {
        let svg = r#"<svg width="60" height="30" xmlns="http://www.w3.org/2000/svg">
            <text x="5" y="20" font-family="sans-serif" font-size="16">S</text></svg>"#;
        let pixels = Pixmap::decode_png(&png(svg).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (120, 60));
        let inked = pixels.pixels().iter().filter(|pixel| pixel.alpha() > 128).count();
        assert!(inked > 40, "{inked}");
        assert!(png("<svg").is_err());
    }
}
