//! Which devices models run on: what an operator asks for, and what this machine has.

mod place;

use std::{fmt, str::FromStr};

use genesisflow_cuda::driver;
pub use genesisflow_cuda::driver::{Card, NoCards};
pub use place::{OpenDevice, Place};

use crate::model::LoadOptions;

/// Where models are to run, as an operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// Every card that the kernels run on, or else the processor.
    #[default]
    Auto,
    /// The processor.
    Processor,
    /// These cards, by their numbers: each has an engine of its own.
    Cards(Vec<usize>),
}

/// Text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no device; write auto, cpu, cuda:0, or several cards with commas between: \
     cuda:0,cuda:1"
)]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Processor),
            _ => {}
        }
        let mut cards = Vec::new();
        for part in text.split(',') {
            let index = part.trim().strip_prefix("cuda:");
            let index = index.and_then(|index| index.parse().ok());
            match index {
                Some(index) if !cards.contains(&index) => cards.push(index),
                _ => return Err(UnknownDevice(text.into())),
            }
        }
        Ok(Self::Cards(cards))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Processor => f.write_str("cpu"),
            Self::Cards(cards) => {
                let cards: Vec<String> = cards.iter().map(|c| format!("cuda:{c}")).collect();
                f.write_str(&cards.join(","))
            }
        }
    }
}

/// Why the devices that were asked for cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// There is no driver that works.
    #[error(transparent)]
    NoCards(#[from] NoCards),
    /// There is no card with this number.
    #[error("there is no card cuda:{index}; this machine has {count}, counted from 0")]
    NoSuchCard {
        /// The number asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The kernels do not run on it.
    #[error("{0} is too old for the kernels, which need compute capability 8.0 or newer")]
    OldCard(Card),
}

/// What is used of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Cards; if there is none, the processor is used.
    pub cards: Vec<Card>,
    /// Why not more of the machine is used, where that was left to this program.
    pub passed_over: Vec<String>,
}

impl Devices {
    /// All of them; the processor, if there is no card, as these options say.
    pub fn places(&self, options: LoadOptions) -> Vec<Place> {
        let cards = self.cards.iter().map(|card| Place::card(card.index));
        let cards: Vec<Place> = cards.collect();
        if cards.is_empty() {
            return vec![Place::Processor(options)];
        }
        cards
    }
}

impl DeviceChoice {
    /// Looks at this machine.
    ///
    /// # Errors
    /// [`DevicesError`] if cards were named that cannot be used.
    pub fn look(&self) -> Result<Devices, DevicesError> {
        self.pick(driver::cards)
    }

    fn pick(
        &self,
        cards: impl FnOnce() -> Result<Vec<Card>, NoCards>,
    ) -> Result<Devices, DevicesError> {
        let mut devices = Devices {
            cards: Vec::new(),
            passed_over: Vec::new(),
        };
        match self {
            Self::Processor => {}
            Self::Auto => match cards() {
                Ok(cards) => {
                    for card in cards {
                        if card.is_supported() {
                            devices.cards.push(card);
                        } else {
                            let error = DevicesError::OldCard(card);
                            devices.passed_over.push(error.to_string());
                        }
                    }
                }
                Err(reason) => devices.passed_over.push(reason.to_string()),
            },
            Self::Cards(wanted) => {
                let cards = cards()?;
                for index in wanted.iter().copied() {
                    let count = cards.len();
                    let missing = DevicesError::NoSuchCard { index, count };
                    let card = cards.iter().find(|card| card.index == index);
                    let card = card.ok_or(missing)?.clone();
                    if !card.is_supported() {
                        return Err(DevicesError::OldCard(card));
                    }
                    devices.cards.push(card);
                }
            }
        }
        Ok(devices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(index: usize, capability: (i32, i32)) -> Card {
        Card {
            index,
            name: "A card".into(),
            capability,
            memory: 1 << 30,
            driver: 13_000,
            release: None,
        }
    }

    #[test]
    fn what_an_operator_writes_comes_back_the_same() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3,cuda:1"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "gpu",
            "cuda",
            "cuda:",
            "cuda:-1",
            "cuda:0,",
            "cuda:0,cuda:0",
        ] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn cards_that_are_named_must_be_there_and_others_are_passed_over() {
        let machine = || Ok(vec![card(0, (9, 0)), card(1, (7, 5))]);
        let auto = DeviceChoice::Auto.pick(machine).unwrap();
        assert_eq!(auto.cards, [card(0, (9, 0))]);
        assert!(auto.passed_over[0].contains("too old"));
        let pick = |cards: &[usize]| DeviceChoice::Cards(cards.to_vec()).pick(machine);
        assert_eq!(pick(&[0]).unwrap().cards.len(), 1);
        assert!(matches!(pick(&[0, 1]), Err(DevicesError::OldCard(_))));
        let missing = DevicesError::NoSuchCard { index: 2, count: 2 };
        assert_eq!(pick(&[2]), Err(missing));
    }

    #[test]
    fn without_a_driver_the_processor_is_used_unless_a_card_was_named() {
        let machine = || Err(NoCards::NoDriver);
        let auto = DeviceChoice::Auto.pick(machine).unwrap();
        assert!(auto.cards.is_empty());
        assert!(auto.passed_over[0].contains("no NVIDIA driver"));
        let none = Err(DevicesError::NoCards(NoCards::NoDriver));
        assert_eq!(DeviceChoice::Cards(vec![0]).pick(machine), none);
        let cpu = DeviceChoice::Processor.pick(|| panic!("the driver is not asked"));
        assert_eq!(cpu.unwrap().cards, []);
    }
}
