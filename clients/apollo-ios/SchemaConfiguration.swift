// Put this in place of the file with the same name that Apollo iOS generates once, in FairwayAPI/Sources/Schema.
import ApolloAPI

public enum SchemaConfiguration: ApolloAPI.SchemaConfiguration {
  /// Messages, rooms, members and users have ids that are unique in their type. Everything else (events, payloads, pages,
  /// `Presence`, `TypingState`, `Limits`) has none and is stored by its path.
  public static func cacheKeyInfo(for type: ApolloAPI.Object, object: ApolloAPI.ObjectData) -> CacheKeyInfo? {
    switch type.typename {
    case "Message", "Room", "RoomMember", "User":
      // A selection without `id`, such as a member in `MemberRead`, has no key either.
      return try? CacheKeyInfo(jsonValue: object["id"])
    default:
      return nil
    }
  }
}
