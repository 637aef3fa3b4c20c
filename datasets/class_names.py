"""The classes of public datasets of masks, in the order of their ids."""


def _names(text):
  return tuple(name.strip() for name in text.split(','))


# arXiv:1604.01685: the classes that are evaluated, by their train ids.
CITYSCAPES = _names(
  'road, sidewalk, building, wall, fence, pole, traffic light, '
  'traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, '
  'train, motorcycle, bicycle'
)
# What masks of their own form, gtFine's labelIds, call them.
CITYSCAPES_IDS = (
  *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22),
  *(23, 24, 25, 26, 27, 28, 31, 32, 33),
)

# arXiv:1608.05442: the 150 classes of the scene parsing benchmark, by how
# many pixels they have. What none of them covers comes before them.
ADE20K = _names(
  'background, wall, building, sky, floor, tree, ceiling, road, bed, '
  'windowpane, grass, cabinet, sidewalk, person, earth, door, table, '
  'mountain, plant, curtain, chair, car, water, painting, sofa, shelf, '
  'house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, '
  'wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, '
  'chest of drawers, counter, sand, sink, skyscraper, fireplace, '
  'refrigerator, grandstand, path, stairs, runway, case, pool table, '
  'pillow, screen door, stairway, river, bridge, bookcase, blind, '
  'coffee table, toilet, flower, book, hill, bench, countertop, stove, '
  'palm, kitchen island, computer, swivel chair, boat, bar, '
  'arcade machine, hovel, bus, towel, light, truck, tower, chandelier, '
  'awning, streetlight, booth, television, airplane, dirt track, apparel, '
  'pole, land, bannister, escalator, ottoman, bottle, buffet, poster, '
  'stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, '
  'swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, '
  'cradle, oven, ball, food, step, tank, trade name, microwave, pot, '
  'animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, '
  'sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, '
  'plate, monitor, bulletin board, shower, radiator, glass, clock, flag'
)

# Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010.
PASCAL_VOC = _names(
  'background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, '
  'chair, cow, diningtable, dog, horse, motorbike, person, pottedplant, '
  'sheep, sofa, train, tvmonitor'
)

# arXiv:1612.03716: the 182 categories of COCO-Stuff in the order of their ids,
# of which those of `COCO_STUFF_UNUSED` have been given up. Masks have the id
# less one.
COCO_STUFF = _names(
  'person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, '
  'traffic light, fire hydrant, street sign, stop sign, parking meter, bench, '
  'bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, hat, '
  'backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, '
  'skis, snowboard, sports ball, kite, baseball bat, baseball glove, '
  'skateboard, surfboard, tennis racket, bottle, plate, wine glass, cup, fork, '
  'knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, '
  'hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, '
  'dining table, window, desk, toilet, door, tv, laptop, mouse, remote, '
  'keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, '
  'blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, '
  'hair brush, banner, blanket, branch, bridge, building-other, bush, cabinet, '
  'cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, '
  'clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, '
  'floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, '
  'fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill, '
  'house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, '
  'napkin, net, paper, pavement, pillow, plant-other, plastic, platform, '
  'playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, '
  'sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, '
  'structural-other, table, tent, textile-other, towel, tree, vegetable, '
  'wall-brick, wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, '
  'wall-wood, water-other, waterdrops, window-blind, window-other, wood'
)
COCO_STUFF_UNUSED = _names(
  'street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, '
  'blender, hair brush'
)
