//! The numbers that the kernel side knows rules by. What was counted under one stays
//! its rule's, whatever becomes of the configuration: a rule keeps its number wherever
//! it is, and that of a rule which is gone is given to no other.

use super::supervisor::Supervisor;

/// The numbers, from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    of_place: Vec<u16>,
    stands_for: Vec<StandsFor>,
}

/// The meaning of a number.
#[derive(Clone, Debug)]
enum StandsFor {
    /// The rule at this place.
    Rule(usize),
    /// A rule that there is no more, of which the name is left.
    Former(Box<Supervisor>),
}

impl Numbers {
    /// Gives the next number to the rule at the next place.
    pub(super) fn push(&mut self) {
        let place = self.of_place.len();
        self.stands_for.push(StandsFor::Rule(place));
        self.of_place.push(last(&self.stands_for));
    }

    /// Numbers for these rules, of which some are known by their place in `known`.
    pub(super) fn of(rules: &[Supervisor], known: &[String]) -> Self {
        let mut of_place = vec![0; rules.len()];
        let mut stands_for = Vec::with_capacity(known.len());
        for name in known {
            let place = rules.iter().position(|rule| *rule.name == **name);
            match place.filter(|place| of_place[*place] == 0) {
                Some(place) => {
                    stands_for.push(StandsFor::Rule(place));
                    of_place[place] = last(&stands_for);
                }
                None => stands_for.push(StandsFor::Former(Box::new(Supervisor::former(name)))),
            }
        }
        for (place, number) in of_place.iter_mut().enumerate() {
            if *number == 0 {
                stands_for.push(StandsFor::Rule(place));
                *number = last(&stands_for);
            }
        }
        Self {
            of_place,
            stands_for,
        }
    }

    /// The number of the rule at a place.
    pub(super) fn at(&self, place: usize) -> u16 {
        self.of_place.get(place).copied().unwrap_or_default()
    }

    /// The place of the rule of a number that is there still.
    pub(super) fn place(&self, number: u16) -> Option<usize> {
        match self.stands_for(number)? {
            StandsFor::Rule(place) => Some(*place),
            StandsFor::Former(_) => None,
        }
    }

    /// The rule of a number, be it there still or not.
    pub(super) fn get<'a>(
        &'a self,
        rules: &'a [Supervisor],
        number: u16,
    ) -> Option<&'a Supervisor> {
        match self.stands_for(number)? {
            StandsFor::Rule(place) => rules.get(*place),
            StandsFor::Former(rule) => Some(rule),
        }
    }

    fn stands_for(&self, number: u16) -> Option<&StandsFor> {
        self.stands_for.get(usize::from(number).checked_sub(1)?)
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.stands_for.len()
    }
}

/// The number of the last one.
fn last(stands_for: &[StandsFor]) -> u16 {
    u16::try_from(stands_for.len()).unwrap_or_default()
}
