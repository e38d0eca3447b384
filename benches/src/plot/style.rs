//! The colours and marks of the servers, the same in all pictures. The colours are those of Okabe
//! and Ito, which are distinct with colour blindness as well. Marks differ, too.

use plotters::style::RGBColor;

/// The colour and mark of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) colour: RGBColor,
    pub(crate) mark: Mark,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Circle,
    Square,
    Triangle,
    Cross,
    Diamond,
}

const GREEN: RGBColor = RGBColor(0, 158, 115);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const YELLOW: RGBColor = RGBColor(230, 159, 0);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const BLUE: RGBColor = RGBColor(0, 114, 178);
const SKY: RGBColor = RGBColor(86, 180, 233);
const GREY: RGBColor = RGBColor(140, 140, 140);
const BLACK: RGBColor = RGBColor(0, 0, 0);
/// The servers without a style of their own have these colours, which are none of the palette.
const OTHERS: [RGBColor; 2] = [RGBColor(148, 103, 60), RGBColor(170, 170, 50)];

/// Returns the style of a server. `others` counts the servers without a style of their own.
pub(crate) fn of(server: &str, others: &mut usize) -> Style {
    let (colour, mark) = match server {
        "redis" => (ORANGE, Mark::Square),
        "redis-8" => (YELLOW, Mark::Diamond),
        "valkey" => (PURPLE, Mark::Square),
        "valkey-2" => (PURPLE, Mark::Triangle),
        "nats" => (BLACK, Mark::Diamond),
        "ours" => (BLUE, Mark::Circle),
        "ours-2" => (SKY, Mark::Triangle),
        "ours-2-pinned" => (GREEN, Mark::Triangle),
        "ours-embedded" => (BLUE, Mark::Circle),
        "ours-broker" => (SKY, Mark::Circle),
        "ws" => (ORANGE, Mark::Square),
        "socket.io" => (PURPLE, Mark::Square),
        "floor-plain" => (GREY, Mark::Triangle),
        "floor-gathering" => (BLACK, Mark::Triangle),
        "baseline" => (GREY, Mark::Cross),
        _ => {
            *others += 1;
            (OTHERS[(*others - 1) % OTHERS.len()], Mark::Square)
        }
    };
    Style { colour, mark }
}

/// Returns the name of a server in a legend.
pub(crate) fn title(server: &str) -> &str {
    match server {
        "redis" => "redis-server",
        "redis-8" => "redis-server 8.2",
        "valkey" => "Valkey",
        "valkey-2" => "Valkey, 2 threads",
        "nats" => "NATS",
        "ours" => "broker, 1 thread",
        "ours-2" => "broker, 2 threads",
        "ours-2-pinned" => "broker, 2 threads on 1 processor",
        "ours-embedded" => "signalr, embedded broker",
        "ours-broker" => "signalr over the broker",
        "ws" => "Node.js ws",
        "floor-plain" => "floor: a write for each message",
        "floor-gathering" => "floor: a write for each read",
        "baseline" => "baseline: system calls only",
        other => other,
    }
}
