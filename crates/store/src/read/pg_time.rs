//! Times between us and sqlx: microseconds on both sides, so no calendar is needed.

use event::Time;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type, TypeInfo as _};

/// 2000-01-01T00:00Z, where PostgreSQL counts from, in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A `timestamptz` in its binary form: microseconds since 2000, i64 in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PgTime(pub(super) Time);

impl Type<Postgres> for PgTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("TIMESTAMPTZ")
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        ty.name() == "TIMESTAMPTZ"
    }
}

impl PgHasArrayType for PgTime {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("TIMESTAMPTZ")
    }
}

impl Encode<'_, Postgres> for PgTime {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.micros().saturating_sub(EPOCH_MICROS);
        buf.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for PgTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(Time::from_micros(micros.saturating_add(EPOCH_MICROS))))
    }
}
