//! The one page of the service: which version and slot answered, and a live counter.

use crate::switches::Switches;

/// The page with everything it needs in it; nothing is loaded from elsewhere.
pub fn page(switches: &Switches) -> String {
    include_str!("page.html")
        .replace("{hue}", &hue(&switches.version).to_string())
        .replace("{greeting}", &escape(&switches.greeting))
        .replace("{version}", &escape(&switches.version))
        .replace("{slot}", &escape(&switches.slot))
        .replace("{instance}", &escape(&switches.instance))
}

/// A colour for each version, so that a switch is seen from across the room.
fn hue(version: &str) -> u32 {
    let folded = version.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
    // Steps of the golden angle keep neighbours apart.
    (folded.wrapping_mul(137)) % 360
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_versions_differ_in_colour() {
        let distance = hue("1.0.0").abs_diff(hue("1.1.0"));

        assert!((40..=320).contains(&distance), "{distance} degrees apart");
    }

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
