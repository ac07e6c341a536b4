//! Which addresses a slot has in the route while it gets the traffic. Pure, and equal for every
//! driver that writes addresses.

/// An instance that belongs into the live slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<A> {
    pub address: A,
    pub is: Is,
}

/// What is known of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// It runs and answered its readiness check.
    Ready,
    /// It runs.
    Running,
    /// It died, and the machine starts it again at its address.
    Returning,
    /// It never ran, ended, or was paused.
    Still,
}

impl Is {
    /// Whether it is worth to be asked if it is ready.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Ready | Self::Running)
    }
}

/// The addresses of a live slot that had `before`, its members in the order they are given.
///
/// Who was in stays while it runs or comes back by itself; who was not comes in once it is ready, so
/// that no request meets a service that is only starting. Who is gone or stands still leaves, so
/// that it comes back the same way, and so does who is no member any more. But while nobody stays
/// who runs, the addresses are left as they are: a live slot is never without one.
pub(crate) fn addresses<A: Copy + PartialEq>(before: &[A], members: &[Member<A>]) -> Vec<A> {
    let stays = |one: &&Member<A>| match one.is {
        Is::Ready => true,
        Is::Running | Is::Returning => before.contains(&one.address),
        Is::Still => false,
    };
    if members.iter().filter(stays).any(|one| one.is.runs()) {
        return members.iter().filter(stays).map(|one| one.address).collect();
    }
    if before.is_empty() {
        return members.iter().map(|one| one.address).collect();
    }
    before.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Is; 4] = [Is::Ready, Is::Running, Is::Returning, Is::Still];

    fn member(address: u8, is: Is) -> Member<u8> {
        Member { address, is }
    }

    #[test]
    fn who_is_new_comes_in_once_it_is_ready_and_not_before() {
        for is in ALL {
            let now = addresses(&[1], &[member(1, Is::Running), member(2, is)]);

            assert_eq!(now.contains(&2), is == Is::Ready, "{is:?}");
            assert!(now.contains(&1));
        }
    }

    #[test]
    fn who_stands_still_or_is_gone_leaves_if_another_one_runs() {
        let other = member(2, Is::Running);

        assert_eq!(addresses(&[1, 2], &[member(1, Is::Still), other]), [2]);
        assert_eq!(addresses(&[1, 2], &[other]), [2]);
        assert_eq!(addresses(&[1, 2], &[member(1, Is::Returning), other]), [1, 2]);
    }

    #[test]
    fn a_live_slot_is_never_left_without_an_address() {
        for one in ALL {
            for two in ALL {
                let members = [member(1, one), member(2, two)];
                for before in [&[1, 2][..], &[1], &[7], &[]] {
                    assert!(!addresses(before, &members).is_empty(), "{before:?} {members:?}");
                }
            }
        }
        assert_eq!(addresses::<u8>(&[1, 2], &[]), [1, 2]);
    }
}
