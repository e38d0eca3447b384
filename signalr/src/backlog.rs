//! Messages that were read and wait for their turn, with the memory that they take.

use std::collections::VecDeque;

/// Messages in order. An empty one takes memory as well, so it counts for limits.
#[derive(Debug)]
pub(crate) struct Backlog<M> {
    messages: VecDeque<M>,
    bytes: usize,
}

impl<M> Default for Backlog<M> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), bytes: 0 }
    }
}

impl<M: AsRef<[u8]>> Backlog<M> {
    /// Returns the memory of all messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, message: M) {
        self.bytes += bytes_of(&message);
        self.messages.push_back(message);
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<M> {
        let message = self.messages.pop_front()?;
        self.bytes -= bytes_of(&message);
        Some(message)
    }
}

fn bytes_of<M: AsRef<[u8]>>(message: &M) -> usize {
    message.as_ref().len() + size_of::<M>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_messages_count() {
        let mut backlog = Backlog::default();
        ["", "a", ""].into_iter().for_each(|message| backlog.push(message.to_owned()));
        assert_eq!(backlog.bytes(), 1 + 3 * size_of::<String>());
        assert_eq!([backlog.pop(), backlog.pop()].map(Option::unwrap), ["", "a"]);
        assert_eq!(backlog.bytes(), size_of::<String>());
    }
}
