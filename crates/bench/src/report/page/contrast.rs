//! Whether every text of the page can be read, in both themes: contrasts by the rule of WCAG 2.2.

const THEME: &str = include_str!("style/theme.css");

/// What text needs on what is behind it, and what a mark needs.
const TEXT: f64 = 4.5;
const MARK: f64 = 3.0;

/// Texts and what is behind them, by the names of their colors.
const TEXTS: &[(&str, &[&str])] = &[
    ("ink", &["ground", "surface", "sunken"]),
    ("muted", &["ground", "surface", "sunken"]),
    ("accent", &["ground", "surface"]),
    ("ink", &["side-soft", "accent-soft"]),
    ("good", &["ground", "surface", "good-soft"]),
    ("bad", &["surface", "bad-soft"]),
    ("side", &["surface", "side-soft"]),
    ("surface", &["bad"]),
    ("prefer", &["ground", "surface"]),
    ("forced", &["ground", "surface"]),
    ("free", &["ground", "surface"]),
    ("same", &["ground", "surface"]),
];

/// The color of a name in the light and the dark theme.
fn colors(name: &str) -> [[f64; 3]; 2] {
    let after = THEME.split(&format!("--{name}: light-dark(")).nth(1);
    let pair = after.and_then(|after| after.split(')').next()).unwrap_or_else(|| panic!("{name}"));
    let mut colors = pair.split(", ").map(color);
    [colors.next().unwrap(), colors.next().unwrap()]
}

/// Red, green and blue of `#rrggbb`, from 0 to 1.
fn color(hex: &str) -> [f64; 3] {
    [1, 3, 5].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
}

/// The relative luminance of a color in sRGB.
fn luminance(color: [f64; 3]) -> f64 {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let [r, g, b] = color.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[track_caller]
fn hold(a: &str, b: &str, least: f64) {
    for (theme, (x, y)) in ["light", "dark"].iter().zip(colors(a).into_iter().zip(colors(b))) {
        let found = contrast(x, y);
        assert!(found >= least, "{a} on {b}, {theme}: {found:.2} of {least}");
    }
}

#[test]
fn texts_can_be_read_in_both_themes() {
    for (text, behind) in TEXTS {
        for behind in *behind {
            hold(text, behind, TEXT);
        }
    }
}

#[test]
fn marks_can_be_seen_in_both_themes() {
    for i in 0..8 {
        hold(&format!("method-{i}"), "surface", MARK);
    }
    hold("strong-line", "ground", MARK);
    hold("strong-line", "surface", MARK);
}

#[test]
fn numbers_can_be_read_on_the_darkest_cell() {
    // As style/tables.css mixes them: 46% of the heat at most.
    for (theme, small) in [(0, "#3f464e"), (1, "#c3cad2")] {
        let (heat, surface) = (colors("heat")[theme], colors("surface")[theme]);
        let cell: Vec<f64> = (0..3).map(|i| 0.46 * heat[i] + 0.54 * surface[i]).collect();
        let cell = [cell[0], cell[1], cell[2]];
        for text in [colors("ink")[theme], color(small)] {
            assert!(contrast(text, cell) >= TEXT, "theme {theme}: {:.2}", contrast(text, cell));
        }
    }
}
