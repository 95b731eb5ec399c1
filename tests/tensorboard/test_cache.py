"""Values that a board keeps."""

from robust_sparse_tf.tensorboard.cache import Cache


def test_those_that_were_not_used_for_longest_go_first():
    cache = Cache(room=100)
    for name in ("a", "b", "c"):
        cache.put(name, name.upper(), 40)
        cache.get("a")
    assert [cache.get(name) for name in ("a", "b", "c")] == ["A", None, "C"]


def test_a_value_in_place_of_another():
    cache = Cache(room=100)
    cache.put("a", 1, 60)
    cache.put("a", 2, 60)
    cache.put("b", 3, 40)
    assert (cache.get("a"), cache.get("b")) == (2, 3)


def test_a_value_larger_than_the_room():
    cache = Cache(room=100)
    cache.put("a", 1, 50)
    cache.put("b", 2, 101)
    cache.put("c", 3, 100)
    assert [cache.get(name) for name in ("a", "b", "c")] == [None, None, 3]
