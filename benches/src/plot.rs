//! Draws the results as SVG and as PNG.
//!
//! | module     | content                                          |
//! |------------|--------------------------------------------------|
//! | `axis`     | from figures to places, and the labels of ticks  |
//! | `draw`     | draws one picture on any canvas                  |
//! | `pictures` | the pictures, with their scenarios and figures   |
//! | `style`    | the colours and marks of the servers             |

mod axis;
mod draw;
mod pictures;
mod style;

use std::fs::{self, File};
use std::path::Path;

use plotters::prelude::{BitMapBackend, IntoDrawingArea, SVGBackend};
use plotters::style::{FontStyle, register_font};

use self::draw::FAMILY;
use self::pictures::{PICTURES, Picture, Shown};
use crate::Failure;
use crate::report::Table;

/// Pixels of the PNG for one of the SVG, in each direction.
const PNG_SCALE: u32 = 2;
/// Drawn pixels for one of the PNG, in each direction. Their mean makes lines smooth.
const SAMPLES: u32 = 2;

/// Draws each picture that has enough figures.
pub(crate) fn write(dir: &Path, caption: &str, tables: &[Table]) -> Result<(), Failure> {
    let fonts =
        [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())];
    for (style, bytes) in fonts {
        register_font(FAMILY, style, bytes)
            .map_err(|_| Failure::Picture("the built-in font is invalid".to_owned()))?;
    }
    for picture in PICTURES {
        let shown = picture.show(tables);
        if shown.is_worth_drawing() {
            fs::write(
                dir.join(picture.file).with_extension("svg"),
                svg(picture, &shown, caption)?,
            )?;
            let path = dir.join(picture.file).with_extension("png");
            write_png(&path, picture, &shown, caption)?;
        }
    }
    Ok(())
}

fn svg(picture: &Picture, shown: &Shown, caption: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, shown.size()).into_drawing_area();
    draw::draw(&area, picture, shown, caption, 1)
        .and_then(|()| area.present())
        .map_err(|error| Failure::Picture(error.to_string()))?;
    drop(area);
    Ok(text)
}

fn write_png(path: &Path, picture: &Picture, shown: &Shown, caption: &str) -> Result<(), Failure> {
    let (width, height) = shown.size();
    let scale = PNG_SCALE * SAMPLES;
    let drawn = (width * scale, height * scale);
    let mut pixels = vec![0; (drawn.0 * drawn.1) as usize * RGB];
    let area = BitMapBackend::with_buffer(&mut pixels, drawn).into_drawing_area();
    draw::draw(&area, picture, shown, caption, scale)
        .and_then(|()| area.present())
        .map_err(|error| Failure::Picture(error.to_string()))?;
    drop(area);
    let mut encoder = png::Encoder::new(File::create(path)?, width * PNG_SCALE, height * PNG_SCALE);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().map_err(std::io::Error::from)?;
    let smooth = smooth(&pixels, drawn.0 as usize);
    writer.write_image_data(&smooth).map_err(std::io::Error::from)?;
    writer.finish().map_err(std::io::Error::from)?;
    Ok(())
}

/// Bytes of a pixel.
const RGB: usize = 3;

/// Replaces each square of pixels by one pixel, their mean.
fn smooth(pixels: &[u8], width: usize) -> Vec<u8> {
    const SIDE: usize = SAMPLES as usize;

    let mut out = Vec::with_capacity(pixels.len() / SIDE / SIDE);
    for rows in pixels.chunks_exact(width * RGB * SIDE) {
        for at in (0..width * RGB).step_by(RGB * SIDE) {
            for colour in 0..RGB {
                let square = (0..SIDE * SIDE).map(|each| {
                    let (x, y) = (each % SIDE, each / SIDE);
                    usize::from(rows[y * width * RGB + at + x * RGB + colour])
                });
                out.push(u8::try_from(square.sum::<usize>() / (SIDE * SIDE)).unwrap_or(u8::MAX));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_of_pixels_becomes_their_middle() {
        let (black, white) = ([0; 3], [200; 3]);
        let rows = [[black, white, white, white], [black, white, white, white]];
        let pixels: Vec<u8> = rows.concat().concat();
        assert_eq!(smooth(&pixels, 4), [[100; 3], [200; 3]].concat());
    }
}
