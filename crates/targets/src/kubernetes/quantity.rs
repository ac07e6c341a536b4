//! Quantities as the API server writes them: `250m`, `64Mi`, `1e3`, `12345678n`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// In thousandths of what it counts, rounded up: millicores of CPU. `None` for what is no quantity.
pub(super) fn thousandths(quantity: &Quantity) -> Option<u64> {
    rounded(&quantity.0, 1e3)
}

/// As a whole number, rounded up: bytes, pods.
pub(super) fn whole(quantity: &Quantity) -> Option<u64> {
    rounded(&quantity.0, 1.0)
}

/// In billionths: nanoseconds of a core in a second.
pub(super) fn billionths(quantity: &Quantity) -> Option<u64> {
    rounded(&quantity.0, 1e9)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked to be in range.
fn rounded(text: &str, times: f64) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let exponent = unit.strip_prefix(['e', 'E']).filter(|digits| !digits.is_empty());
    let unit = match exponent {
        Some(digits) => 10_f64.powi(digits.parse().ok()?),
        None => match unit {
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1024_f64.powi(2),
            "Gi" => 1024_f64.powi(3),
            "Ti" => 1024_f64.powi(4),
            "Pi" => 1024_f64.powi(5),
            "Ei" => 1024_f64.powi(6),
            _ => return None,
        },
    };
    // A little less before rounding up: 0.1 is not quite a tenth.
    let value = (number.parse::<f64>().ok()? * unit * times - 1e-6).ceil();
    (0.0..1.8e19).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity(text.to_owned())
    }

    #[test]
    fn every_way_to_write_a_quantity_is_read() {
        for (text, whole_number) in [
            ("64Mi", 64 << 20),
            ("1Gi", 1 << 30),
            ("33554432", 33_554_432),
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("1.5Gi", 3 << 29),
            ("128974848000m", 128_974_848),
            ("7", 7),
            ("0", 0),
        ] {
            assert_eq!(whole(&quantity(text)), Some(whole_number), "{text}");
        }
        for (text, millis) in [("250m", 250), ("1", 1000), ("0.1", 100), ("2500u", 3), ("4", 4000)]
        {
            assert_eq!(thousandths(&quantity(text)), Some(millis), "{text}");
        }
        assert_eq!(billionths(&quantity("12345678n")), Some(12_345_678));
        for none in ["", "x", "1Zi", "--1", "Mi", "-1"] {
            assert_eq!(whole(&quantity(none)), None, "{none}");
        }
    }
}
