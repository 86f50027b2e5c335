#ifndef LOSSD_WIRE_ENUMS_H_
#define LOSSD_WIRE_ENUMS_H_

namespace lossd {

// Enums of messages have the values of those of plans in the same order, after an UNSPECIFIED.
template <typename Message, typename Enum>
Message ToWire(Enum value) {
  return static_cast<Message>(static_cast<int>(value) + 1);
}

// Of any but UNSPECIFIED.
template <typename Enum, typename Message>
Enum FromWire(Message value) {
  return static_cast<Enum>(static_cast<int>(value) - 1);
}

}  // namespace lossd

#endif  // LOSSD_WIRE_ENUMS_H_
